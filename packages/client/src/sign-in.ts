import { readTokens } from './answers.js'
import { backoff, momentOf } from './clock.js'
import type { Context } from './context.js'
import type { Keeper } from './keeper.js'
import { failure, type Problem, type Result } from './problem.js'
import type { Credential } from './transport.js'
import type { Credentials, SessionUser } from './types.js'

/** How long a sign-out waits for a refresh that is under way, so that its answer does not bring a cookie back. */
const flightPatience = 3_000

/** Signs in and out. A sign-out holds at once, and is told to the service until it confirms. */
export function createSignIn(context: Context, keeper: Keeper) {
  const { clock, store, transport, carrier, mark, exclusively, log } = context
  /** How often somebody signed out: a sign-in of before must not undo it. */
  let signOuts = 0
  let confirming: Promise<unknown> | undefined
  let failures = 0
  let cancelTimer = () => {}
  /** What can still end a session whose cookie was overwritten. */
  let abandoned: Credential | undefined

  async function tell(): Promise<boolean> {
    const signOut = mark.get()
    if (signOut === undefined) return true
    let problem: Problem | undefined
    try {
      const carried = await carrier.carry()
      const path = signOut.everywhere ? '/v1/logout/all' : '/v1/logout'
      const answer = carried && (await transport.send({ path, keepalive: true, ...carried }))
      if (answer && !answer.ok) problem = answer.problem
    } catch {
      problem = failure('store_failed').problem
    }
    if (problem === undefined) {
      failures = 0
      abandoned = undefined
      mark.clear()
      await carrier.clear()
      return true
    }
    failures++
    const details = { because: problem.code, status: problem.status }
    log('warn', 'signout_unconfirmed', details)
    if (failures === 1) store.emit({ type: 'signout_unconfirmed', retry: confirmLater })
    cancelTimer()
    cancelTimer = clock.after(backoff(failures, problem.retryAfter, Math.random()), () => void confirmLater())
    return false
  }

  /** One after the other: what was told is not told again. */
  function confirm(before?: Promise<unknown>): Promise<boolean> {
    const confirmed = Promise.all([confirming, before]).then(tell)
    confirming = confirmed
    return confirmed.finally(store.flush)
  }

  /** Tells the service of a sign-out that it has not confirmed, unless somebody has signed in since: the cookie is theirs. */
  function confirmLater(): Promise<boolean> {
    return exclusively(async () => keeper.held !== undefined || (await confirm()))
  }

  async function login({ signal, ...credentials }: Credentials): Promise<Result<SessionUser>> {
    const startedAfter = signOuts
    const result = await exclusively(async (): Promise<Result<SessionUser>> => {
      // Once somebody is signed in, the cookie that could end the former session is gone.
      if (mark.get() !== undefined) await confirm()
      const askedAt = momentOf(clock)
      const body = { ...credentials, refresh_transport: carrier.wanted }
      const answer = await transport.send({
        path: '/v1/login',
        body,
        signal,
        proof: true,
        cookies: carrier.wanted === 'cookie'
      })
      if (!answer.ok) return answer
      const issued = readTokens(answer.data)
      if (issued === undefined) return failure('bad_response')
      if (signOuts !== startedAfter) {
        await confirming
        await carrier.keep(issued.refreshToken)
        keeper.disown(issued.sessionId)
        mark.set({ sessionId: issued.sessionId, everywhere: false })
        await confirm()
        return failure('superseded')
      }
      const former = keeper.held?.token ?? abandoned
      abandoned = undefined
      cancelTimer()
      mark.clear()
      await keeper.take(issued, askedAt, 'password')
      // Nobody comes back to that one; it may be that it does not succeed.
      if (former) void transport.send({ path: '/v1/logout', token: former, keepalive: true })
      return { ok: true, data: issued.user }
    })
    store.flush()
    keeper.wake()
    return result
  }

  return {
    login,
    async logout(everywhere: boolean): Promise<boolean> {
      signOuts++
      failures = 0
      const { held, flight } = keeper
      abandoned = held?.token ?? abandoned
      mark.set({ sessionId: held?.session.id ?? '', everywhere })
      keeper.endForAll('user')
      store.flush()
      const patience = new Promise<void>((resolve) => void clock.after(flightPatience, resolve))
      // Sent at once, since the page may be left next; the lock keeps a sign-in of another tab from coming in between.
      const confirmed = confirm(flight && Promise.race([flight, patience]))
      void exclusively(() => confirmed)
      return await confirmed
    },
    confirmLater,
    rest: () => cancelTimer()
  }
}
