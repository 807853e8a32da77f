import t from 'tap'
import {
  composeSessionRevoked,
  composeVerification,
  eventLifetime,
  judgeDelivery,
  readRetryAfter,
  refusalOfReceiverUrl,
  type SessionEnd
} from '../../src/domain/security-event.js'

const now = new Date('2030-01-01T12:00:00Z')
const epoch = now.getTime() / 1000
const to = { issuer: 'https://auth.test', audience: 'https://shop.test' }
const event: SessionEnd = {
  id: 'event-1',
  accountId: 'ada',
  sessionId: 'session-1',
  because: 'refresh_reused',
  at: new Date(now.getTime() - 5_000)
}
const revoked = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked'
const user = { format: 'iss_sub', iss: 'https://auth.test', sub: 'ada' }

t.test('the end of a session as a security event token', async (t) => {
  t.same(composeSessionRevoked(event, to, now), {
    iss: 'https://auth.test',
    iat: epoch,
    jti: 'event-1',
    aud: 'https://shop.test',
    sub_id: { format: 'complex', user, session: { format: 'opaque', id: 'session-1' } },
    events: {
      [revoked]: {
        event_timestamp: epoch - 5,
        initiating_entity: 'policy',
        reason_admin: { en: 'A refresh token was used twice: somebody has a copy.' }
      }
    }
  })
  t.match(composeSessionRevoked({ ...event, sessionId: null }, to, now), { sub_id: user }, 'all sessions of the user')
  for (const [because, entity] of [
    ['logout', 'user'],
    ['account_disabled', 'admin'],
    ['a reason of tomorrow', 'system']
  ] as const) {
    t.match(composeSessionRevoked({ ...event, because }, to, now), {
      events: { [revoked]: { initiating_entity: entity } }
    })
  }
  const verification = composeVerification('event-2', 'receiver-1', to, now)
  for (const claims of [composeSessionRevoked(event, to, now), verification]) {
    t.notOk('sub' in claims || 'exp' in claims, 'it could not pass for an access token')
  }
})

const said = (status: number, body: unknown = undefined, retryAfter: number | undefined = undefined) => ({
  status,
  body,
  retryAfter
})

t.test('what follows from an answer', async (t) => {
  for (const status of [200, 202, 204, 299]) t.same(judgeDelivery(said(status), 1, 0, 1), { kind: 'done' }, `${status}`)
  t.same(judgeDelivery(said(400, { err: 'invalid_key', description: 'x' }), 1, 0, 1), {
    kind: 'dead',
    error: 'invalid_key'
  })
  for (const body of [undefined, null, 'x', {}, { err: 7 }, { err: 'x'.repeat(65) }, { err: 'a\u001b[31m' }]) {
    t.same(judgeDelivery(said(400, body), 1, 0, 1), { kind: 'dead', error: 'invalid_request' })
  }
  for (const status of [301, 307, 401, 403, 404, 410, 429, 500, 503]) {
    t.same(judgeDelivery(said(status), 1, 0, 1), { kind: 'retry', after: 1_000, error: `status ${status}` })
  }
  t.match(judgeDelivery({ failure: 'ECONNREFUSED' }, 1, 0, 1), { kind: 'retry', error: 'ECONNREFUSED' })
})

t.test('the pauses double, up to a quarter of an hour, never all alike', async (t) => {
  const pause = (attempt: number, random = 1) => {
    const verdict = judgeDelivery(said(500), attempt, 0, random)
    return verdict.kind === 'retry' ? verdict.after : undefined
  }
  t.same(
    [1, 2, 3, 4, 11, 12, 1_000].map((n) => pause(n)),
    [1_000, 2_000, 4_000, 8_000, 900_000, 900_000, 900_000]
  )
  t.equal(pause(3, 0), 2_000)
  t.equal(pause(3, 0.5), 3_000)
})

t.test('a receiver that asks for patience gets it, within reason', async (t) => {
  t.match(judgeDelivery(said(503, undefined, 30_000), 1, 0, 1), { after: 30_000 })
  t.match(judgeDelivery(said(503, undefined, 10), 4, 0, 1), { after: 8_000 }, 'not less than the pause')
  t.match(judgeDelivery(said(429, undefined, 10 ** 12), 1, 0, 1), { after: 3_600_000 }, 'an hour at most')
})

t.test('after a day an event is given up', async (t) => {
  t.match(judgeDelivery(said(500), 120, eventLifetime - 1, 1), { kind: 'retry' })
  t.match(judgeDelivery(said(500), 120, eventLifetime, 1), {
    kind: 'dead',
    error: 'given up after 120 attempts: status 500'
  })
  t.match(judgeDelivery(said(200), 120, eventLifetime, 1), { kind: 'done' })
})

t.test('Retry-After is seconds or a date', async (t) => {
  const cases: Array<[string | null, number | undefined]> = [
    [null, undefined],
    ['0', 0],
    ['120', 120_000],
    ['Tue, 01 Jan 2030 12:00:30 GMT', 30_000],
    ['Tue, 01 Jan 2030 11:00:00 GMT', 0],
    ['soon', undefined]
  ]
  for (const [text, expected] of cases) {
    t.equal(readRetryAfter(text, now), expected, String(text))
  }
})

t.test('a receiver is reached by TLS, or within this machine', async (t) => {
  const cases: Array<[string, boolean, boolean]> = [
    ['https://shop.example/events?tenant=1', true, true],
    ['http://shop.example/events', false, false],
    ['http://localhost:8080/events', true, false],
    ['http://127.0.0.1/events', true, false],
    ['http://[::1]:8080/events', true, false],
    ['http://127.0.0.1.evil.example/', false, false],
    ['http://localhost.evil.example/', false, false],
    ['https://user:password@shop.example/', false, false],
    ['https://shop.example/#x', false, false],
    ['ftp://shop.example/', false, false],
    ['file:///etc/passwd', false, false],
    ['shop.example', false, false],
    ['', false, false],
    [`https://shop.example/${'x'.repeat(2_000)}`, false, false]
  ]
  for (const [url, inDevelopment, inProduction] of cases) {
    t.equal(refusalOfReceiverUrl(url, true) === null, inDevelopment, url)
    t.equal(refusalOfReceiverUrl(url, false) === null, inProduction, url)
  }
})
