import t from 'tap'
import { brokenForms } from '../../bench/lib/malformed.js'
import { countingLink } from '../support/query-count.js'
import { listening } from '../support/raw-http.js'
import { fromOwnPage, goodPassword, world } from '../support/world.js'

interface Form {
  readonly title: string
  readonly value: string
  /** Whether the form may still be good: another password of the same alphabet. */
  readonly changed: boolean
  readonly isControl?: boolean
}

/** A scheme whose credential is in a header. */
interface Scheme {
  readonly name: string
  readonly start: string
  readonly good: string
  /** The header line with a credential in it. */
  readonly header: (value: string) => string
  /** The header line that names the scheme and nothing more. */
  readonly alone: string
  /** Whether a text can be told from a credential only by asking: passwords have no checksum. */
  readonly asks?: boolean
}

const statuses = (wanted: readonly number[], status: number, title: string) => ({
  ok: wanted.includes(status),
  title: `${title}: ${status}, and not one of ${wanted.join(', ')}`
})

t.test('whatever is wrong with a credential, it is 400 or 401, and no query where its form is wrong', async (t) => {
  const w = await world(t)
  const link = await countingLink(t, w.url)
  const app = await w.replica((options) => ({
    ...options,
    logger: false,
    authenticators: { order: ['session', 'token', 'bearer', 'basic'], custom: [] },
    drf: { ...options.drf!, authenticators: ['bearer', 'token', 'basic'] },
    database: { ...options.database, url: link.url },
    // What happened is written down a moment later, by statements of its own.
    audit: { ...options.audit, retention: null },
    revocations: { ...options.revocations, pollInterval: 3_600_000 }
  }))
  const { id } = await w.app.flows.createAccount({ username: 'ada', password: goodPassword })
  const { key } = await w.app.flows.createApiToken(id, { name: 'test' })
  const page = { username: 'ada', password: goodPassword, refresh_transport: 'cookie', session: true }
  const cookies = (await w.post('/v1/login', page, fromOwnPage)).cookies as unknown as Array<{
    name: string
    value: string
  }>
  const cookie = cookies.find(({ name }) => name === '__Host-Http-session')!
  const { access_token: access, refresh_token: refresh } = await w.login('ada')
  const password = Buffer.from(`ada:${goodPassword}`).toString('base64')
  await app.revocations.read()
  const send = await listening(app)

  const authorization = (name: string, scheme: string, start: string, good: string, more: Partial<Scheme> = {}) => ({
    name,
    start,
    good,
    header: (value: string) => `authorization: ${scheme} ${value}`,
    alone: `authorization: ${scheme}`,
    ...more
  })
  const schemes: Scheme[] = [
    {
      name: 'session cookie',
      start: 'GET /v1/me',
      good: cookie.value,
      header: (value) => `cookie: ${cookie.name}=${value}`,
      alone: `cookie: ${cookie.name}`
    },
    authorization('Token', 'Token', 'GET /v1/me', key),
    authorization('Bearer', 'Bearer', 'GET /v1/me', access),
    authorization('Basic', 'Basic', 'GET /v1/me', password, { asks: true }),
    authorization('Token on the Django face', 'Token', 'GET /auth/users/me/', key),
    authorization('Bearer on the Django face', 'Bearer', 'GET /auth/users/me/', access),
    authorization('Basic on the Django face', 'Basic', 'GET /auth/users/me/', password, { asks: true }),
    authorization('Basic at knox', 'Basic', 'POST /api/auth/login/', password, { asks: true })
  ]
  for (const { name, start, good, header, alone, asks = false } of schemes) {
    await t.test(name, async (t) => {
      t.equal((await send(start, [header(good)])).status, 200, 'the good one is let in')
      const check = async (title: string, lines: string[], wanted: readonly number[], isFree: boolean) => {
        const before = link.statements()
        const response = await send(start, lines)
        const { ok, title: told } = statuses(wanted, response.status, title)
        t.ok(ok, told)
        if (isFree) t.equal(link.statements() - before, 0, `${title}: no query`)
        t.notMatch(response.body, good, `${title}: nothing is echoed`)
      }
      await check('nothing', [], [401], true)
      await check('empty', [header('')], [401], true)
      await check('the scheme alone', [alone], [401], true)
      await check('two headers', [header(good), header(good)], [400], true)
      await check('two headers, one of them empty', [header(good), header('')], [400], true)
      for (const { title, value, changed, isControl = false } of brokenForms(good) as Form[]) {
        // What Node's own parser refuses is 400 before there is a route.
        await check(title, [header(value)], isControl ? [400] : [401], !(changed && asks))
      }
    })
  }

  const bodies: Array<[string, string, string]> = [
    ['/api/token/verify/', 'token', refresh],
    ['/api/token/verify/', 'token', access],
    ['/api/token/refresh/', 'refresh', refresh],
    ['/auth/jwt/refresh/', 'refresh', refresh],
    ['/v1/refresh', 'refresh_token', refresh],
    ['/api/token/blacklist/', 'refresh', refresh]
  ]
  for (const [path, member, good] of bodies) {
    await t.test(`${path} with ${good === access ? 'an access' : 'a refresh'} token`, async (t) => {
      const json = ['content-type: application/json']
      const check = async (title: string, body: string, wanted: readonly number[]) => {
        const before = link.statements()
        const response = await send(`POST ${path}`, json, body)
        const { ok, title: told } = statuses(wanted, response.status, title)
        t.ok(ok, told)
        t.equal(link.statements() - before, 0, `${title}: no query`)
      }
      // A page without a session asks for tokens at each load, and is told that there are none.
      await check('no body', '', path === '/v1/refresh' ? [204] : [400])
      await check('broken JSON', `{"${member}": "${good}`, [400])
      for (const value of ['', null, [good, good], { [member]: good }, true]) {
        await check(JSON.stringify(value).slice(0, 20), JSON.stringify({ [member]: value }), [400])
      }
      for (const { title, value, isControl = false } of brokenForms(good) as Form[]) {
        await check(
          title,
          JSON.stringify({ [member]: value }),
          isControl || path === '/v1/refresh' ? [400, 401] : [401]
        )
      }
    })
  }
})
