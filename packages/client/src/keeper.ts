import { endOf, type Issued, readTokens } from './answers.js'
import { backoff, type Moment, momentOf } from './clock.js'
import type { Context } from './context.js'
import { type Holding, hold, holdToken, isUsable, remaining, sessionOf, untilDue } from './holding.js'
import { isVisible } from './page.js'
import { failure, localProblem, type Problem } from './problem.js'
import type { TabMessage, Tabs } from './tabs.js'
import type { Answer, Credential } from './transport.js'
import { AuthUnreachableError, type SignedOutReason, type TokenRequest } from './types.js'

/** How long a tab that came second waits to hear what the first one got, in milliseconds. */
const hearsayPatience = 100

/**
 * Holds the session of this tab: asks for access tokens, shares them with the other tabs, and tells what becomes of it.
 *
 * The epoch counts the sign-ins and sign-outs. Whatever waits looks at it again before it changes anything: an answer that
 * belongs to a session of before is dropped.
 */
export function createKeeper(context: Context, tabs: () => Tabs) {
  const { clock, store, transport, carrier, prover, exclusively, log } = context
  let epoch = 0
  let held: Holding | undefined
  /** Sessions that somebody signed out of: no tab's late word of them counts. */
  const over = new Set<string>()
  let flight: Promise<void> | undefined
  let trouble: { problem: Problem; failures: number; since: Moment; wait: number } | undefined
  let cancelTimer = () => {}
  let onHearsay = () => {}
  let asleep = true

  const isAnonymous = () => store.state.status === 'anonymous'
  const untilRetry = () => (trouble ? trouble.wait - (clock.mono() - trouble.since.mono) : 0)
  const retryAt = () => clock.wall() + Math.max(untilRetry(), 0)
  const sayUnreachable = () =>
    store.commit({
      status: 'unreachable',
      user: held?.user ?? null,
      session: held?.session ?? null,
      retryAt: retryAt()
    })

  /** The next time to do something: to refresh ahead, to try again, to say that the token has run out. */
  function arm(): void {
    cancelTimer()
    const { status } = store.state
    if (asleep || !isVisible() || (status !== 'authenticated' && status !== 'unreachable')) return
    let wait = trouble ? untilRetry() : held ? untilDue(held.token, clock) : 0
    if (trouble && status === 'authenticated' && held) wait = Math.min(wait, remaining(held.token, clock))
    cancelTimer = clock.after(Math.max(wait, 0), wake)
  }

  /** Does what is due, and nothing where nothing is. `force` where what is known may be out of date. */
  function wake(force = false): void {
    if (trouble && store.state.status === 'authenticated' && !isUsable(held, clock)) sayUnreachable()
    store.flush()
    const isDue = trouble ? untilRetry() <= 0 : held !== undefined && untilDue(held.token, clock) <= 0
    if ((isDue || force) && isVisible()) void refresh()
    else arm()
  }

  function become(next: Holding, by: 'password' | 'restore' | 'other_tab'): void {
    const former = held
    trouble = undefined
    if (former?.session.id !== next.session.id) {
      epoch++
      if (former) {
        store.commit({ status: 'anonymous', reason: 'other_tab' })
        store.emit({ type: 'signed_out', reason: 'other_tab' })
      }
    }
    held = next
    const { state } = store
    const { user, session } = next
    const isNews = state.status !== 'authenticated' || state.user !== user || state.session !== session
    if (isNews) store.commit({ status: 'authenticated', user, session })
    if (former?.session.id !== session.id) {
      store.emit({ type: 'signed_in', user, via: by })
      return
    }
    const accessExpiresAt = clock.wall() + remaining(next.token, clock)
    store.emit({ type: 'refreshed', accessExpiresAt, by: by === 'other_tab' ? by : 'this_tab' })
  }

  /** Takes over what the service issued, and shares it. */
  async function take(issued: Issued, askedAt: Moment, by: 'password' | 'restore'): Promise<void> {
    const session = sessionOf(issued, askedAt.wall)
    const token = holdToken(issued, issued.life, askedAt, context.refreshAhead, Math.random())
    become(hold(held, { user: issued.user, session }, token), by)
    const { accessToken, scheme, life, user } = issued
    tabs().post({ kind: 'tokens', accessToken, scheme, life, askedAt: askedAt.wall, user, session: held!.session })
    await Promise.all([carrier.keep(issued.refreshToken), prover?.keep()])
  }

  function end(reason: SignedOutReason): void {
    const former = held
    const { status } = store.state
    epoch++
    held = undefined
    trouble = undefined
    if (former) over.add(former.session.id)
    if (status === 'anonymous') return
    store.commit({ status: 'anonymous', reason })
    if (status !== 'loading') store.emit({ type: 'signed_out', reason })
  }

  /** Ends the session of this tab, and of those that are in the same. */
  function endForAll(reason: SignedOutReason): void {
    const sessionId = held?.session.id
    end(reason)
    // A tab that has lost the key knows nothing of the others.
    if (sessionId !== undefined && reason !== 'key_lost') tabs().post({ kind: 'signed_out', sessionId, reason })
  }

  function fail(problem: Problem): void {
    const failures = (trouble?.failures ?? 0) + 1
    const wait = backoff(failures, problem.retryAfter, Math.random())
    trouble = { problem, failures, since: momentOf(clock), wait }
    log('warn', 'refresh_failed', { because: problem.code, status: problem.status })
    if (!isUsable(held, clock)) sayUnreachable()
  }

  /** Null where there is no refresh token to ask with. */
  async function askOnce(): Promise<Answer | null> {
    try {
      const carried = await carrier.carry()
      return carried && (await transport.send({ path: '/v1/refresh', proof: true, ...carried }))
    } catch {
      return failure('store_failed')
    }
  }

  /** Asks for the next tokens; what got lost is sent again at once, since to repeat it is safe. */
  async function ask(): Promise<Answer | null> {
    const answer = await askOnce()
    const isLost = answer !== null && !answer.ok && answer.problem.code === 'network_error'
    return isLost && globalThis.navigator?.onLine !== false ? await askOnce() : answer
  }

  async function exchange(): Promise<void> {
    const before = held?.token
    const started = epoch
    await exclusively(async (contended) => {
      if (contended && held?.token === before) {
        await new Promise<void>((resolve) => {
          onHearsay = resolve
          clock.after(hearsayPatience, resolve)
        })
      }
      // Another tab was faster, or somebody signed in or out.
      if (epoch !== started || held?.token !== before) return
      const askedAt = momentOf(clock)
      const answer = await ask()
      if (epoch !== started) return
      if (answer === null || (answer.ok && answer.status === 204)) {
        return endForAll(held ? 'expired' : 'never_signed_in')
      }
      const issued = answer.ok ? readTokens(answer.data) : undefined
      // Another tab signed out of it while it was under way.
      if (issued && over.has(issued.sessionId)) return end('other_tab')
      if (issued) return await take(issued, askedAt, 'restore')
      const problem = answer.ok ? localProblem('bad_response', answer.status) : answer.problem
      const reason = endOf(problem)
      if (reason === undefined) return fail(problem)
      endForAll(reason)
      await carrier.clear()
    })
  }

  /** Gets the next access token; whoever comes while it is under way waits for the same. Never rejects. */
  function refresh(): Promise<void> {
    flight ??= exchange().finally(() => {
      flight = undefined
      store.flush()
      arm()
    })
    return flight
  }

  function hear(message: TabMessage): void {
    if (message.kind === 'signed_out') {
      over.add(message.sessionId)
      if (message.sessionId === held?.session.id) end(message.reason === 'user' ? 'other_tab' : message.reason)
    } else {
      const { session, user, askedAt, life } = message
      const elapsed = Math.max(clock.wall() - askedAt, 0)
      const moment = { wall: askedAt, mono: clock.mono() - elapsed }
      const token = holdToken(message, life, moment, context.refreshAhead, Math.random())
      // What was asked for last is what the cookie says, whoever it is by now.
      const isLate = over.has(session.id) || (held && askedAt < held.token.askedAt.wall)
      if (isLate || remaining(token, clock) <= 0) return
      become(hold(held, { user, session }, token), 'other_tab')
    }
    onHearsay()
    store.flush()
    arm()
  }

  /** A good access token, or undefined where nobody is signed in. Rejects with AuthUnreachableError. */
  async function credential({
    minValidityMs = 0,
    forceRefresh = false
  }: TokenRequest = {}): Promise<Credential | undefined> {
    if (isAnonymous()) return undefined
    if (!forceRefresh && isUsable(held, clock, minValidityMs)) return held.token
    const before = held?.token
    // Not again and again: what the service asks for counts always, and our own patience unless somebody insists.
    const isEarly = untilRetry() > 0 && (!forceRefresh || trouble?.problem.retryAfter !== undefined)
    if (!isEarly || flight) await refresh()
    const isNew = held?.token !== before
    if (isUsable(held, clock) && (isNew || !forceRefresh)) return held.token
    if (isAnonymous()) return undefined
    throw new AuthUnreachableError(trouble?.problem ?? localProblem('superseded'), retryAt())
  }

  return {
    refresh,
    hear,
    wake,
    take,
    end,
    endForAll,
    credential,
    get held() {
      return held
    },
    get flight() {
      return flight
    },
    /** A service said that this token counts no more. */
    spend(accessToken: string): void {
      if (held?.token.accessToken === accessToken) held = { ...held, isSpent: true }
    },
    /** Nothing that is late to come of this session is believed. */
    disown: (sessionId: string) => void over.add(sessionId),
    /** Whether the service asked for patience that is not over. */
    mustWait: () => trouble?.problem.retryAfter !== undefined && untilRetry() > 0,
    rest(isResting: boolean): void {
      asleep = isResting
      if (isResting) cancelTimer()
      else arm()
    }
  }
}

export type Keeper = ReturnType<typeof createKeeper>
