import { randomUUID } from 'node:crypto'
import fp from 'fastify-plugin'
import { Refusal } from '../domain/refusal.js'
import {
  composeSessionRevoked,
  composeVerification,
  eventType,
  judgeDelivery,
  type PushOutcome
} from '../domain/security-event.js'
import { later } from '../domain/session.js'
import { isUuid } from '../domain/uuid.js'
import * as outbox from '../storage/event-outbox.js'
import * as receivers from '../storage/event-receivers.js'
import { push } from './outgoing.js'
import { traced } from './tracing.js'

export interface EventDelivery {
  /** Delivers whatever is due to whoever can be reached; resolves once each receiver had its turn. */
  deliver(): Promise<void>
  /** Sends a receiver a verification event, once. Throws `not_found`. */
  verify(receiverId: string): Promise<PushOutcome>
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly eventDelivery: EventDelivery
  }
}

export interface EventDeliveryOptions {
  readonly issuer: string
  /** Milliseconds between two looks for what is to be tried again. */
  readonly pollInterval: number
  /** Milliseconds that a receiver may take to answer. */
  readonly timeout: number
  readonly clock: () => Date
}

/** Events of one receiver that are on their way at a time. */
const batchSize = 10
/** Milliseconds that failed events are kept, so that somebody can see why. */
const failedFor = 30 * 86_400_000

/**
 * Tells receivers of ended sessions. Each receiver has a turn of its own, so that one that is slow or down delays nobody
 * else; requests and revocations wait for none of it.
 */
export const eventDelivery = fp<EventDeliveryOptions>(
  async (app, { issuer, pollInterval, timeout, clock }) => {
    const turns = new Map<string, Promise<void>>()
    /** Receivers for whom something came while they had their turn, which may have looked already. */
    const again = new Set<string>()
    const closing = new AbortController()

    function send(receiver: receivers.ReceiverWithSecret, set: string): Promise<PushOutcome> {
      const { id, url, sealedAuthorization } = receiver
      const request = {
        url,
        contentType: `application/${eventType}`,
        authorization: sealedAuthorization === null ? undefined : app.vault.open(sealedAuthorization, id).toString(),
        body: set,
        timeout,
        signal: closing.signal,
        now: clock()
      }
      // Not the address: a receiver may have its credential in it.
      const attributes = { 'http.request.method': 'POST', 'keyturn.receiver': id }
      return traced(app.tracing, { name: 'deliver event', kind: 'client', attributes }, async (tell) => {
        const outcome = await push(request)
        tell('failure' in outcome ? { 'error.type': 'no answer' } : { 'http.response.status_code': outcome.status })
        return outcome
      })
    }

    /** True where the receiver took it, or said that it never will. */
    async function deliverOne(receiver: receivers.ReceiverWithSecret, event: outbox.ClaimedEvent): Promise<boolean> {
      const to = { issuer, audience: receiver.audience }
      const set = await app.keys.signing().signAs(eventType, composeSessionRevoked(event, to, clock()))
      const outcome = await send(receiver, set)
      const now = clock()
      // The process ends: what became of this one is unknown, and whoever tries it next sends the same event.
      if (closing.signal.aborted && 'failure' in outcome) {
        await outbox.postpone(app.db, event, now)
        return false
      }
      const age = now.getTime() - event.at.getTime()
      const verdict = judgeDelivery(outcome, event.attempt, age, Math.random())
      const fields = { receiver: receiver.id, jti: event.id, attempt: event.attempt }
      switch (verdict.kind) {
        case 'done':
          await outbox.remove(app.db, event)
          app.log.info({ event: 'event.delivered', ...fields }, 'event.delivered')
          return true
        case 'dead':
          await outbox.bury(app.db, event, verdict.error, now)
          app.log.warn({ event: 'event.failed', ...fields, error: verdict.error }, 'event.failed')
          return true
        case 'retry':
          await outbox.postpone(app.db, event, later(now, verdict.after))
          app.log.info({ event: 'event.postponed', ...fields, error: verdict.error }, 'event.postponed')
          return false
      }
    }

    async function takeTurn(receiverId: string): Promise<void> {
      while (!closing.signal.aborted) {
        const receiver = await receivers.find(app.db, receiverId)
        if (receiver === undefined || receiver.disabledAt !== null) return
        const now = clock()
        // Twice what the slowest answer takes: a lease that ran out earlier would send everything twice.
        const events = await outbox.claim(app.db, receiverId, now, later(now, timeout * 2), batchSize)
        if (events.length === 0) return
        const settled = await Promise.all(events.map((event) => deliverOne(receiver, event)))
        // Whoever took nothing of a batch would take nothing of the next one either: the others wait for the next look.
        if (!settled.includes(true)) return
      }
    }

    async function deliver(): Promise<void> {
      if (closing.signal.aborted) return
      for (const id of await outbox.listDueReceivers(app.db, clock())) {
        if (turns.has(id)) {
          again.add(id)
          continue
        }
        const turn = takeTurn(id)
          .catch((error) => app.log.warn({ receiver: id, error: error.message }, 'events could not be delivered'))
          .finally(() => {
            turns.delete(id)
            if (again.delete(id)) deliverOrWarn()
          })
        turns.set(id, turn)
      }
      await Promise.all(turns.values())
    }

    const deliverOrWarn = () => {
      deliver().catch((error) => app.log.warn({ error: error.message }, 'events could not be looked for'))
    }

    app.decorate('eventDelivery', {
      deliver,
      async verify(receiverId) {
        const receiver = isUuid(receiverId) ? await receivers.find(app.db, receiverId) : undefined
        if (receiver === undefined) throw new Refusal('not_found')
        const to = { issuer, audience: receiver.audience }
        const claims = composeVerification(randomUUID(), receiver.id, to, clock())
        return await send(receiver, await app.keys.signing().signAs(eventType, claims))
      }
    } satisfies EventDelivery)

    const timers: NodeJS.Timeout[] = []
    let forget = () => {}
    // Whoever listens delivers; a command at a terminal ends too soon for that.
    app.addHook('onListen', async () => {
      forget = app.revocations.onChange(deliverOrWarn)
      const clean = () => {
        outbox
          .removeFailed(app.db, later(clock(), -failedFor), 1_000)
          .catch((error) => app.log.warn({ error: error.message }, 'failed events could not be removed'))
      }
      timers.push(setInterval(deliverOrWarn, pollInterval).unref(), setInterval(clean, 3_600_000).unref())
      deliverOrWarn()
    })
    app.addHook('preClose', async () => {
      forget()
      for (const timer of timers) clearInterval(timer)
      closing.abort()
      await Promise.all(turns.values())
    })
  },
  { name: 'event-delivery', dependencies: ['tracing', 'database', 'vault', 'keys', 'revocations'], fastify: '5.x' }
)
