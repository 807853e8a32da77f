import { Refusal } from '../domain/refusal.js'
import { refusalOfReceiverUrl } from '../domain/security-event.js'
import { isUuid, uuidFromBytes } from '../domain/uuid.js'
import * as receivers from '../storage/event-receivers.js'
import { noteIn } from './audit.js'
import type { Tools } from './flow.js'

export interface NewReceiver {
  readonly url: string
  readonly audience: string
  readonly note: string
  /** The whole Authorization header that it asks for; undefined for none. */
  readonly authorization: string | undefined
}

/** Adds somebody who is told of every session that ends from now on. */
export async function addReceiver(tools: Tools, receiver: NewReceiver): Promise<{ readonly id: string }> {
  const { url, audience, note, authorization } = receiver
  const wrong = (pointer: string, detail: string) =>
    new Refusal('validation_failed', { errors: [{ pointer, code: 'invalid', detail }] })
  const refused = refusalOfReceiverUrl(url, tools.settings.loopbackReceivers)
  if (refused !== null) throw wrong('/url', `It ${refused}.`)
  if (audience.length < 1 || audience.length > 255) throw wrong('/audience', 'It has 1 to 255 characters.')
  if (note.length > 200) throw wrong('/note', 'It has at most 200 characters.')
  if (authorization !== undefined && !/^[\x21-\x7e][\x20-\x7e]{0,4095}$/.test(authorization)) {
    throw wrong('/authorization', 'It is one line of printable ASCII.')
  }
  const id = uuidFromBytes(tools.idEntropy(16))
  const sealedAuthorization = authorization === undefined ? null : tools.seal(Buffer.from(authorization), id)
  const added = { id, url, audience, note, sealedAuthorization, createdAt: tools.clock() }
  await tools.db.transaction().execute(async (trx) => {
    if (!(await receivers.insert(trx, added))) throw wrong('/url', 'Another receiver has this address.')
    await noteIn(tools, trx, 'receiver.added', { receiver: id })
  })
  return { id }
}

export function listReceivers(tools: Tools): Promise<receivers.ReceiverState[]> {
  return receivers.list(tools.db)
}

/** With all that it was yet to be told. */
export async function removeReceiver(tools: Tools, id: string): Promise<void> {
  await tools.db.transaction().execute(async (trx) => {
    if (!isUuid(id) || !(await receivers.remove(trx, id))) throw new Refusal('not_found')
    await noteIn(tools, trx, 'receiver.removed', { receiver: id })
  })
}

/** Lets a receiver rest, or go on. Of what ends meanwhile it is never told. */
export async function setReceiverEnabled(tools: Tools, id: string, enabled: boolean): Promise<void> {
  const at = enabled ? null : tools.clock()
  await tools.db.transaction().execute(async (trx) => {
    if (!isUuid(id) || !(await receivers.setDisabled(trx, id, at))) throw new Refusal('not_found')
    await noteIn(tools, trx, enabled ? 'receiver.enabled' : 'receiver.disabled', { receiver: id })
  })
}
