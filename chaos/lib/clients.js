// People who stay signed in, people who leave, people who arrive; whoever got no answer asks again with what they have.
import { setTimeout as delay } from 'node:timers/promises'
import { send } from './http.js'

const pick = (items) => items[Math.floor(Math.random() * items.length)]
const fromPage = { 'x-auth-request': '1', origin: 'http://auth.chaos' }
const cookieName = 'keyturn-rt'
const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'))

/**
 * Runs everybody until `isOver()`. They come in by the proxy, where there is one. `outages` tells since when a replica
 * cannot know of a revocation, and `tally()` whose counts an answer belongs to.
 */
export function runClients({ replicas, proxy, outages, tally, ledger, isOver, limits, counts }) {
  const doors = proxy === undefined ? replicas : [proxy]
  let lastWrite = performance.now()

  /** A write was acknowledged: how long nobody's was. */
  function wrote() {
    const now = performance.now()
    const mine = tally()
    mine.longestPause = Math.max(mine.longestPause, now - Math.max(lastWrite, mine.startedAt))
    lastWrite = now
  }

  /** Asks one replica, and counts. Throws where no answer came. */
  async function ask(replica, request) {
    const mine = tally()
    mine.requests++
    const before = performance.now()
    let answer
    try {
      answer = await send(replica, request)
    } catch (error) {
      if (!request.lost) mine.broken++
      throw error
    } finally {
      if (!request.lost) mine.slowest = Math.max(mine.slowest, performance.now() - before)
    }
    if (request.timed !== undefined && answer.status === 200) mine.times[request.timed].push(performance.now() - before)
    if (answer.status === 503) mine.unavailable++
    else if (answer.status >= 500) mine.otherErrors.push(`${answer.status} ${request.path} ${answer.body.code ?? ''}`)
    return { ...answer, replica }
  }

  /** Asks until there is an answer, wherever it comes from. `doubtful` where an earlier attempt may have been heard. */
  async function settle(request) {
    for (let doubtful = false; ; ) {
      try {
        const answer = await ask(pick(doors), request)
        if (answer.status < 500) return { ...answer, doubtful }
        await delay(50)
      } catch {
        await delay(20)
      }
      // A 503 says that it was not done, but not that nothing was: the answer to a commit can be lost inside, too.
      doubtful = true
    }
  }

  async function register(username, password) {
    const answer = await settle({ path: '/v1/register', body: { username, password } })
    const isDone = answer.status === 201 || (answer.doubtful && answer.body.code === 'username_taken')
    if (!isDone) throw new Error(`register: ${answer.status} ${JSON.stringify(answer.body)}`)
    ledger.registered(username, password)
  }

  /** Signs in; whose account or password is lost starts anew under another name. */
  async function login(who, transport) {
    const { username } = who
    const body = { username, password: ledger.passwords.get(username) }
    const answer = await settle(
      transport === 'cookie'
        ? { path: '/v1/login', body: { ...body, refresh_transport: 'cookie' }, headers: fromPage }
        : { path: '/v1/login', body }
    )
    if (answer.status !== 200) {
      tally().lost.push(`the password of ${username}: ${answer.body.code}`)
      who.username = `${username}-again`
      await register(who.username, 'correct horse battery')
      return await login(who, transport)
    }
    const session = { id: claimsOf(answer.body.access_token).sid, transport }
    take(session, answer)
    ledger.signedIn(session.id)
    return session
  }

  function take(session, { body, cookies, replica }) {
    session.sentAt = undefined
    session.accessToken = body.access_token
    session.issuedBy = replica
    const cookie = cookies.find((one) => one.startsWith(`${cookieName}=`))
    session.refreshToken = session.transport === 'cookie' ? cookie.split(/[=;]/)[1] : body.refresh_token
  }

  /** A request that carries the session's refresh token the way it travels. */
  const carrying = (path, { transport, refreshToken }) =>
    transport === 'cookie'
      ? { path, body: {}, headers: { ...fromPage, cookie: `${cookieName}=${refreshToken}` } }
      : { path, body: { refresh_token: refreshToken } }

  /** An answer that an honest client must not get. */
  function signedOut({ id, transport, sentAt }, where, { replica, status, body }) {
    const since = sentAt === undefined ? '' : `, ${Math.round(performance.now() - sentAt)} ms after it was first sent`
    tally().signOuts.push({
      session: id,
      text: `${where} (${transport}, ${replica.name}): ${status} ${body.code}${since}`
    })
  }

  /** False where the session was lost. */
  async function refresh(session) {
    const request = { ...carrying('/v1/refresh', session), timed: 'refresh' }
    session.sentAt = performance.now()
    if (Math.random() < 0.15) {
      await ask(pick(doors), { ...request, lost: true }).catch(() => {})
    } else if (Math.random() < 0.1) await refreshTabs(session, request)
    const answer = await settle(request)
    if (answer.status === 200) {
      wrote()
      take(session, answer)
      return true
    }
    ledger.leaving(session.id)
    signedOut(session, 'refresh', answer)
    return false
  }

  /** Two tabs present the same token at once, and the proxy takes turns. */
  async function refreshTabs(session, request) {
    const both = doors.length === 1 ? [...doors, ...doors] : doors
    const answers = await Promise.allSettled(both.map((door) => ask(door, request)))
    for (const { status, value } of answers) {
      if (status === 'fulfilled' && value.status === 401) signedOut(session, 'refresh of two tabs', value)
    }
  }

  async function readMe(session) {
    const elsewhere = replicas.find((replica) => replica !== session.issuedBy)
    const headers = { authorization: `Bearer ${session.accessToken}` }
    const request = { method: 'GET', path: '/v1/me', headers, timed: 'verify' }
    const answer = await ask(proxy ?? elsewhere, request).catch(() => undefined)
    if (answer !== undefined && answer.status < 500 && answer.status !== 200) signedOut(session, 'me', answer)
  }

  async function logout(session) {
    ledger.leaving(session.id)
    const answer = await settle(carrying('/v1/logout', session))
    if (answer.status === 204) ledger.signedOut(session.id)
    else signedOut(session, 'logout', answer)
  }

  async function changePassword(session, username) {
    const password = ledger.passwords.get(username)
    const next = `correct horse ${Math.random().toString(36).slice(2)}`
    const headers = { authorization: `Bearer ${session.accessToken}` }
    const body = { current_password: password, new_password: next }
    const answer = await settle({ path: '/v1/me/password', body, headers })
    const isDone = answer.status === 204 || (answer.doubtful && answer.body.code === 'password_incorrect')
    if (isDone) ledger.passwords.set(username, next)
    else signedOut(session, 'password', answer)
  }

  /** Stays signed in, and does nothing that a password has to be hashed for. */
  async function resident(n) {
    const who = { username: `resident-${n}` }
    await register(who.username, 'correct horse battery')
    let session
    while (!isOver()) {
      session ??= await login(who, n % 2 === 0 ? 'body' : 'cookie')
      if (Math.random() < 0.6) {
        if (!(await refresh(session))) session = undefined
      } else await readMe(session)
      await delay(5 + Math.random() * 30)
    }
    if (session !== undefined) await refresh(session)
  }

  /** Stays signed in, and now and then signs out and in again. */
  async function person(n) {
    const who = { username: `person-${n}` }
    const transport = n % 2 === 0 ? 'body' : 'cookie'
    await register(who.username, 'correct horse battery')
    let session
    while (!isOver()) {
      session ??= await login(who, transport)
      const dice = Math.random()
      if (dice < 0.55) {
        if (!(await refresh(session))) session = undefined
      } else if (dice < 0.9) await readMe(session)
      else if (dice < 0.96) await changePassword(session, who.username)
      else {
        await logout(session)
        session = undefined
      }
      await delay(5 + Math.random() * 30)
    }
    if (session !== undefined) await refresh(session)
  }

  /** Until when a replica may still accept what was revoked at `acked`, asked at `sent`. */
  function acceptableUntil(replica, acked, sent) {
    // It judges nothing where it has not begun a read for so long, and no load and no outage is an excuse.
    if (limits.stale === 'deny') return acked + limits.staleBound
    const since = outages.filter((one) => one.replica === replica && one.from <= sent && (one.to ?? sent) >= acked)
    return Math.max(acked, ...since.map(({ to }) => to ?? Number.POSITIVE_INFINITY)) + limits.bound
  }

  async function watch(replica, accessToken, acked) {
    const request = { method: 'GET', path: '/v1/me', headers: { authorization: `Bearer ${accessToken}` } }
    let acceptedFor = 0
    for (;;) {
      const sent = performance.now()
      const answer = await ask(replica, request).catch(() => undefined)
      if (answer?.status === 401) {
        tally().latencies.push(acceptedFor)
        return
      }
      if (answer?.status === 200) {
        acceptedFor = sent - acked
        if (sent > acceptableUntil(replica, acked, sent)) {
          tally().beyondBound.push(`on ${replica.name}, ${Math.round(acceptedFor)} ms after the logout`)
          return
        }
      }
      await delay(answer === undefined ? 50 : 2)
    }
  }

  /** A copy of a refresh token is presented that its owner has used and whose successor, too: that ends the session. */
  async function replay(session) {
    const stolen = carrying('/v1/refresh', session)
    for (let n = 0; n < 2; n++) if (!(await refresh(session))) return
    ledger.leaving(session.id)
    const answer = await settle(stolen)
    if (answer.status === 401) ledger.signedOut(session.id)
    else tally().beyondBound.push(`a refresh token of two refreshes ago: ${answer.status}`)
  }

  /** Signs in and out, or has a token stolen, and tries the access token on both replicas until both refuse it. */
  async function revoker(n) {
    const who = { username: `revoker-${n}` }
    await register(who.username, 'correct horse battery')
    while (!isOver()) {
      const session = await login(who, 'body')
      await (Math.random() < 0.7 ? logout(session) : replay(session))
      const acked = performance.now()
      await Promise.all(replicas.map((replica) => watch(replica, session.accessToken, acked)))
      await delay(10 + Math.random() * 40)
    }
  }

  /** Arrives, again and again. */
  async function newcomer(n) {
    for (let at = 0; !isOver(); at++) {
      await register(`newcomer-${n}-${at}`, 'correct horse battery')
      await delay(50 + Math.random() * 100)
    }
  }

  const everybody = (count, who) => Array.from({ length: count }, (_, n) => who(n))
  return Promise.all([
    ...everybody(counts.people, person),
    ...everybody(counts.residents, resident),
    ...everybody(counts.revokers, revoker),
    ...everybody(counts.newcomers, newcomer)
  ])
}
