import {
  isAlive,
  keyStates,
  nextKey,
  planRevocation,
  planRotation,
  planScheduledRotation,
  type Rotation,
  type RotationTimes
} from '../domain/key-ring.js'
import { everything } from '../domain/revocation.js'
import { later } from '../domain/session.js'
import * as revocations from '../storage/revocations.js'
import * as signingKeys from '../storage/signing-keys.js'
import type { Db, Trx } from '../storage/tables.js'
import { type AuditTools, noteIn } from './audit.js'

/** What changes to the ring of signing keys are given. */
export interface KeyTools extends AuditTools {
  readonly db: Db
  /** A new key of the configured algorithm, made here or by the provider. Takes its time, and can fail. */
  readonly makeKey: () => Promise<signingKeys.NewSigningKey>
  /** Whether a provider makes and keeps the keys. */
  readonly isKeptElsewhere: boolean
  readonly settings: {
    readonly times: RotationTimes
    /** Milliseconds from one turn to the next; null where the calendar is switched off. */
    readonly interval: number | null
    /** Milliseconds for which everybody remembers that tokens were ended. */
    readonly revocationLifetime: number
  }
}

/**
 * For how long a compromised key is named to those who follow revocations: a forged token lives as long as its forger
 * likes, and the slowest of the common verifiers keeps a key set for a week.
 */
const compromisedLifetime = 7 * 24 * 3_600_000

/**
 * How to come by a new key under the lock. A key of our own may take a second or ten (RSA), so it is there before the
 * lock, and is thrown away where another replica was first. A provider keeps for ever what it made, and must not be
 * asked by every replica at once: it is asked under the lock, and its answer has a short end.
 */
async function keySource(tools: KeyTools): Promise<KeyTools['makeKey']> {
  if (tools.isKeptElsewhere) return tools.makeKey
  const key = await tools.makeKey()
  return async () => key
}

async function add(
  tools: KeyTools,
  trx: Trx,
  key: signingKeys.NewSigningKey,
  plan: Rotation,
  now: Date
): Promise<void> {
  await signingKeys.insert(trx, { ...key, createdAt: now, signsFrom: plan.signsFrom })
  await signingKeys.retireOthers(trx, key.kid, plan.predecessorGoneAt)
  const { provider } = key.privateHalf
  await noteIn(tools, trx, 'key.created', { kid: key.kid, provider, signs_from: plan.signsFrom })
}

/** Makes the key that is due, on whichever replica gets the lock; the others do not wait for it. Whether one was made. */
export async function rotateWhenDue(tools: KeyTools): Promise<boolean> {
  const { times, interval } = tools.settings
  const makeKey = await keySource(tools)
  return await tools.db.transaction().execute(async (trx) => {
    if (!(await signingKeys.tryLock(trx))) return false
    const now = tools.clock()
    const plan = planScheduledRotation(await signingKeys.list(trx), times, interval, now)
    if (plan === null) return false
    await add(tools, trx, await makeKey(), plan, now)
    return true
  })
}

/** Sees to it that there is a key to sign with, and that the newest one is of the configured kind. */
export async function followSettings(
  tools: KeyTools,
  kind: { readonly algorithm: string; readonly provider: string }
): Promise<void> {
  const makeKey = await keySource(tools)
  await tools.db.transaction().execute(async (trx) => {
    await signingKeys.lock(trx)
    const now = tools.clock()
    const newest = (await signingKeys.list(trx)).findLast((key) => isAlive(key, now))
    if (newest === undefined) {
      const plan = { ...planRotation(tools.settings.times, now), signsFrom: now }
      await add(tools, trx, await makeKey(), plan, now)
    } else if (newest.algorithm !== kind.algorithm || newest.privateHalf.provider !== kind.provider) {
      // It joins the set, and takes its turn once verifiers know it.
      await add(tools, trx, await makeKey(), planRotation(tools.settings.times, now), now)
    }
  })
}

/** Makes the next key; where one waits for its turn already, that one. Its id. */
export async function rotateAhead(tools: KeyTools): Promise<string> {
  const { times, interval } = tools.settings
  const makeKey = await keySource(tools)
  return await tools.db.transaction().execute(async (trx) => {
    await signingKeys.lock(trx)
    const now = tools.clock()
    const waiting = nextKey(await signingKeys.list(trx), times, interval, now)
    if (waiting !== undefined) return waiting.kid
    const key = await makeKey()
    await add(tools, trx, key, planRotation(times, now), now)
    return key.kid
  })
}

/** Why a key did not become the next one; `added` where it did. */
export type AddVerdict = 'added' | 'known' | 'revoked'

/** Makes a key of elsewhere the next one. One that was revoked here never comes back. */
export async function addKey(tools: KeyTools, key: signingKeys.NewSigningKey): Promise<AddVerdict> {
  return await tools.db.transaction().execute(async (trx) => {
    await signingKeys.lock(trx)
    const now = tools.clock()
    const known = (await signingKeys.list(trx)).find(({ kid }) => kid === key.kid)
    if (known !== undefined) return known.revokedBecause === null ? 'known' : 'revoked'
    await add(tools, trx, key, planRotation(tools.settings.times, now), now)
    return 'added'
  })
}

/**
 * Whoever has the keys signs whatever they like: every key ends now, a new one signs now, and everything that was
 * issued before ends with them. Refresh tokens are of other keys, so clients refresh, and nobody is signed out. The
 * ids of the new key and of those that ended.
 */
export async function rotateInEmergency(
  tools: KeyTools,
  because: string
): Promise<{ readonly kid: string; readonly revoked: readonly string[] }> {
  // Before the lock: where a provider is slow, nothing else must wait, and two emergencies make two keys at worst.
  const key = await tools.makeKey()
  return await tools.db.transaction().execute(async (trx) => {
    await signingKeys.lock(trx)
    const now = tools.clock()
    await signingKeys.insert(trx, { ...key, createdAt: now, signsFrom: now })
    const revoked = await signingKeys.revokeOthers(trx, key.kid, because, now)
    await noteIn(tools, trx, 'key.emergency', { kid: key.kid, revoked, because })
    for (const kid of revoked) await tellCompromised(trx, kid, now)
    await revocations.insert(trx, {
      kind: 'all',
      subject: everything,
      because: 'key_compromised',
      createdAt: now,
      expiresAt: later(now, tools.settings.revocationLifetime)
    })
    return { kid: key.kid, revoked }
  })
}

async function tellCompromised(trx: Trx, kid: string, now: Date): Promise<void> {
  await revocations.insert(trx, {
    kind: 'key',
    subject: kid,
    because: 'key_compromised',
    createdAt: now,
    expiresAt: later(now, compromisedLifetime)
  })
}

/** What became of a key that was to be revoked: nothing where it is unknown, gone already, or the one that signs. */
export type RevokeVerdict = 'revoked' | 'unknown' | 'gone' | 'signing'

/** Ends one key that waits for its turn or retires. Tokens that it signed end with it. */
export async function revokeKey(tools: KeyTools, kid: string, because: string): Promise<RevokeVerdict> {
  return await tools.db.transaction().execute(async (trx) => {
    await signingKeys.lock(trx)
    const now = tools.clock()
    const keys = await signingKeys.list(trx)
    const state = keyStates(keys, now).get(kid)
    if (state === undefined) return 'unknown'
    if (state === 'gone' || state === 'signing') return state
    const heir = planRevocation(keys, kid, tools.settings.times, now)
    if (heir !== null) await signingKeys.setGoneAt(trx, heir.kid, heir.goneAt)
    await signingKeys.revoke(trx, kid, because, now)
    await noteIn(tools, trx, 'key.revoked', { kid, because })
    await tellCompromised(trx, kid, now)
    return 'revoked'
  })
}
