import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { byAssertion, clientWithKey, postForm } from '../support/clients.js'
import { bindingLogin, clientKey, proofFor } from '../support/dpop.js'
import { countingLink } from '../support/query-count.js'
import { fetchFrom, verdictOf, verifierOf } from '../support/verifier.js'
import { fromOwnPage, goodPassword, type World, world } from '../support/world.js'

/** Every kind of credential, changed at every place, cut, made longer, and put together from two. */

/** Another character at one place, by one bit wherever that gives one that a header can carry. */
function flipped(text: string, at: number): string {
  const code = text.charCodeAt(at)
  const bits = [0, 1, 2, 3, 4, 5, 6].map((bit) => String.fromCharCode(code ^ (1 << ((at + bit) % 7))))
  return text.slice(0, at) + bits.find((one) => /[\w.-]/.test(one))! + text.slice(at + 1)
}

interface Damaged {
  readonly how: string
  readonly text: string
}

function* damagedForms(text: string, another: string, foreign: string): Generator<Damaged> {
  for (let at = 0; at < text.length; at++) yield { how: `another character at ${at}`, text: flipped(text, at) }
  for (let length = 1; length < text.length; length += text.length > 200 ? 7 : 1) {
    yield { how: `the first ${length}`, text: text.slice(0, length) }
    yield { how: `without the first ${length}`, text: text.slice(length) }
  }
  for (const more of ['A', '=', '.', '-', 'AAAA', text]) yield { how: `and ${more.slice(0, 4)}`, text: text + more }
  for (let at = 1; at < Math.min(text.length, another.length); at += Math.ceil(text.length / 40)) {
    for (const [how, spliced] of [
      ['with the end of another', text.slice(0, at) + another.slice(at)],
      ['with the beginning of another', another.slice(0, at) + text.slice(at)]
    ] as const) {
      if (spliced !== text && spliced !== another) yield { how: `${how}, from ${at}`, text: spliced }
    }
  }
  yield { how: 'of another deployment', text: foreign }
  yield { how: 'in capitals', text: text.toUpperCase() }
}

/** Parts of two signed tokens in each combination that is not one of them. */
function* crossed(one: string, other: string): Generator<Damaged> {
  const [a, b] = [one.split('.'), other.split('.')]
  for (let which = 1; which < 7; which++) {
    const text = a.map((part, at) => ((which >> at) & 1 ? b[at] : part)).join('.')
    if (text !== one && text !== other) yield { how: `parts of two, ${which}`, text }
  }
}

type Send = (text: string) => Promise<LightMyRequestResponse>
type Refusal = readonly [status: number, code: string]

/** Sends each form, and asks for the documented refusal and for no statement. */
async function refuses(
  t: Test,
  forms: Iterable<Damaged>,
  send: Send,
  refusals: readonly Refusal[],
  statements?: () => number,
  allowed = () => 0
): Promise<void> {
  const before = statements?.()
  const wrong: string[] = []
  let count = 0
  for (const { how, text } of forms) {
    const { statusCode, body } = await send(text)
    count++
    const { code, error } = body === '' ? { code: '', error: '' } : JSON.parse(body)
    const isRight = refusals.some(([status, word]) => status === statusCode && word === (code ?? error))
    if (!isRight) wrong.push(`${how}: ${statusCode} ${body}`)
    if (text.length > 20 && body.includes(text)) wrong.push(`${how}: repeated`)
  }
  t.same(wrong.slice(0, 5), [], `${count} forms are refused`)
  if (before !== undefined) t.ok(statements!() - before <= allowed(), 'and nothing is asked of the database')
}

/** Two services that know nothing of each other, and a replica of the first whose statements are counted. */
async function deployments(t: Test) {
  const w = await world(t)
  const link = await countingLink(t, w.url)
  const app = await w.replica((options) => ({
    ...options,
    logger: false,
    database: { ...options.database, url: link.url },
    // What happened is written down a moment later, by statements of its own.
    audit: { ...options.audit, retention: null },
    // Whatever is asked now and then must not be taken for an answer to a token.
    revocations: { ...options.revocations, pollInterval: 3_600_000 },
    signing: { ...options.signing, pollInterval: 3_600_000 },
    events: { ...options.events, pollInterval: 3_600_000 }
  }))
  const elsewhere = await world(t, (options) => ({ ...options, masterKey: Buffer.alloc(32, 'another key') }))
  await app.revocations.read()
  return { w, app, elsewhere, statements: link.statements }
}

const bearer =
  (app: World['app'], scheme = 'Bearer'): Send =>
  (text) =>
    app.inject({ url: '/v1/me', headers: { authorization: `${scheme} ${text}` } })

t.test('an access token is good as it was signed, and in no other form', async (t) => {
  const { w, app, elsewhere, statements } = await deployments(t)
  const [one, other] = [await w.login(await w.account()), await w.login(await w.account())]
  const foreign = await elsewhere.login(await elsewhere.account())
  const [token, another] = [one.access_token, other.access_token]
  t.equal((await bearer(app)(token)).statusCode, 200)
  const forms = [...damagedForms(token, another, foreign.access_token), ...crossed(token, another)]
  const started = performance.now()
  // A key that nobody knows may have been made a moment ago: that is asked once in five seconds, whoever names one.
  const lookups = () => 1 + Math.floor((performance.now() - started) / 5_000)
  await refuses(t, forms, bearer(app), [[401, 'token_invalid']], statements, lookups)
})

t.test('a refresh token is good as it was made, in a body and in a cookie, and in no other form', async (t) => {
  const { w, app, elsewhere, statements } = await deployments(t)
  const [one, other] = [await w.login(await w.account()), await w.login(await w.account())]
  const foreign = await elsewhere.login(await elsewhere.account())
  const forms = [...damagedForms(one.refresh_token, other.refresh_token, foreign.refresh_token)]
  const body: Send = (refresh_token) => app.inject({ method: 'POST', url: '/v1/refresh', payload: { refresh_token } })
  const cookie: Send = (text) =>
    app.inject({
      method: 'POST',
      url: '/v1/refresh',
      headers: { ...fromOwnPage, cookie: `__Host-Http-rt=${text}` },
      payload: {}
    })
  const refusals = [[401, 'token_invalid']] as const
  // A text that is longer than any token is a mistake in the body.
  await refuses(t, forms, body, [...refusals, [400, 'validation_failed']], statements)
  await refuses(t, forms, cookie, refusals, statements)
  t.equal((await body(one.refresh_token)).statusCode, 200, 'and its session is as it was')
  t.equal((await body(other.refresh_token)).statusCode, 200)
})

async function browserOf(w: World): Promise<Map<string, string>> {
  const username = await w.account()
  const page = { username, password: goodPassword, refresh_transport: 'cookie', session: true }
  const { cookies } = await w.post('/v1/login', page, fromOwnPage)
  return new Map([
    ['username', username],
    ...(cookies as unknown as Array<{ name: string; value: string }>).map((one) => [one.name, one.value] as const)
  ])
}

t.test('a session cookie is good as it was made, and in no other form', async (t) => {
  const { w, app, elsewhere, statements } = await deployments(t)
  const name = '__Host-Http-session'
  const [one, other, foreign] = [await browserOf(w), await browserOf(w), await browserOf(elsewhere)]
  const send: Send = (text) => app.inject({ url: '/v1/me', headers: { cookie: `${name}=${text}` } })
  t.equal((await send(one.get(name)!)).statusCode, 200)
  const forms = damagedForms(one.get(name)!, other.get(name)!, foreign.get(name)!)
  await refuses(t, forms, send, [[401, 'token_invalid']], statements)
})

t.test('a device cookie is known as it was made, and in no other form', async (t) => {
  const { w, app, elsewhere } = await deployments(t)
  const name = '__Host-Http-device'
  const [one, other, foreign] = [await browserOf(w), await browserOf(w), await browserOf(elsewhere)]
  const username = one.get('username')!
  const send: Send = (text) =>
    app.inject({
      method: 'POST',
      url: '/v1/login',
      headers: { cookie: `${name}=${text}` },
      payload: { username, password: goodPassword }
    })
  // Strangers have made the account wait; only a browser that is known does not.
  for (let attempt = 0; attempt < 5; attempt++) {
    await w.post('/v1/login', { username, password: 'wrong horse battery' })
  }
  const forms = damagedForms(one.get(name)!, other.get(name)!, foreign.get(name)!)
  await refuses(t, forms, send, [[429, 'sign_in_delayed']])
  t.equal((await send(one.get(name)!)).statusCode, 200)
})

t.test('an API token is good as it was made, and in no other form', async (t) => {
  const { w, app, elsewhere, statements } = await deployments(t)
  const keyOf = async (where: World) => {
    const { user } = await where.login(await where.account())
    return (await where.app.flows.createApiToken(user.id, { name: 'one' })).key
  }
  const [one, other, foreign] = [await keyOf(w), await keyOf(w), await keyOf(elsewhere)]
  const send = bearer(app, 'Token')
  t.equal((await send(one)).statusCode, 200)
  const own = [...damagedForms(one, other, foreign)].filter(({ text }) => text !== foreign)
  await refuses(t, own, send, [[401, 'token_invalid']], statements)
  // Its form is right, so that only the database knows.
  await refuses(t, [{ how: 'of another deployment', text: foreign }], send, [[401, 'token_invalid']])
})

t.test('an invitation is good as it was made, and in no other form', async (t) => {
  const change = (options: Parameters<NonNullable<Parameters<typeof world>[1]>>[0]) =>
    ({ ...options, flows: { ...options.flows, signUp: 'invitation' } }) as const
  const [w, elsewhere] = [await world(t, change), await world(t, change)]
  const invite = async (where: World) =>
    (await where.app.flows.invite({ roles: [], lifetime: 3_600_000, isSetup: false })).token
  const [one, other, foreign] = [await invite(w), await invite(w), await invite(elsewhere)]
  const send: Send = (invitation) => w.post('/v1/register', { username: 'grace', password: goodPassword, invitation })
  const forms = damagedForms(one, other, foreign)
  await refuses(t, forms, send, [
    [403, 'invitation_invalid'],
    [400, 'validation_failed']
  ])
  t.equal((await send(one)).statusCode, 201)
})

t.test('a DPoP proof is good as it was signed, and in no other form', async (t) => {
  const { w, app, elsewhere, statements } = await deployments(t)
  const key = clientKey()
  const tokens = await bindingLogin(w, key)
  const proof = () => proofFor(w, key, { path: '/v1/refresh' })
  const send: Send = (dpop) =>
    app.inject({
      method: 'POST',
      url: '/v1/refresh',
      headers: { dpop },
      payload: { refresh_token: tokens.refresh_token }
    })
  const [one, other] = [proof(), proof()]
  // Another deployment has other addresses.
  const foreign = proofFor(elsewhere, key, { path: '/v1/refresh' }, { htu: 'https://elsewhere.test/v1/refresh' })
  const forms = [...damagedForms(one, other, foreign), ...crossed(one, other)]
  // Two proofs by one key have one header, so that of their parts only the pair of payload and signature counts.
  const bad = forms.filter(({ text }) => text !== one && text !== other)
  await refuses(t, bad, send, [[400, 'dpop_proof_invalid']], statements)
  t.equal((await send(one)).statusCode, 200)
})

t.test('a client assertion is good as it was signed, and in no other form', async (t) => {
  const { w, elsewhere } = await deployments(t)
  const client = await clientWithKey(w)
  const stranger = await clientWithKey(elsewhere)
  const send: Send = (assertion) =>
    postForm(w.app, '/oauth/token', { grant_type: 'client_credentials', ...byAssertion(assertion).fields })
  const [one, other] = [client.assertion(), client.assertion()]
  const forms = [...damagedForms(one, other, stranger.assertion()), ...crossed(one, other)]
  const bad = forms.filter(({ text }) => text !== one && text !== other)
  await refuses(t, bad, send, [
    [401, 'invalid_client'],
    [400, 'invalid_request']
  ])
  t.equal((await send(one)).statusCode, 200)
})

t.test('a cursor of the feed that is not ours hides nothing', async (t) => {
  const w = await world(t)
  const tokens = await w.login(await w.account())
  await w.post('/v1/logout', { refresh_token: tokens.refresh_token })
  await w.app.revocations.read()
  const { cursor } = await w.app.revocationFeed.read('0')
  const payloadOf = (text: string) => JSON.parse(Buffer.from(text.split('.')[1]!, 'base64url').toString())
  let answered = 0
  for (const { how, text } of damagedForms(cursor, '12.abcdefgh', '1.AAAAAAAA')) {
    const response = await w.app.inject(`/v1/revocations?since=${encodeURIComponent(text)}`)
    if (response.statusCode === 400) continue
    t.equal(response.statusCode, 200, how)
    const { reset, entries } = payloadOf(response.body)
    // Either everything is told, or that everything has to be read anew.
    if (reset !== true && entries?.length !== 1) t.fail(`${how}: ${text} is taken for a place in the log`)
    answered++
  }
  t.ok(answered > 5)
})

t.test('what a verifier reads of revocations counts as it was signed, and in no other form', async (t) => {
  const w = await world(t, (options) => ({ ...options, flows: { ...options.flows, statusList: true } }))
  const { access_token } = await w.login(await w.account())
  const real = fetchFrom(w.app)
  const kinds = [
    { mode: 'feed', path: '/v1/revocations', options: { interval: 300 } },
    { mode: 'status-list', path: '/v1/status-lists/', options: {} }
  ] as const
  for (const { mode, path, options } of kinds) {
    /** What a verifier says of a good token when the document is changed on its way. */
    const verdict = async (change: (text: string) => string) => {
      const verifier = verifierOf({ teardown: () => {} } as unknown as Test, w, {
        revocation: { mode, ...options, maxStaleness: 300, onStale: 'deny' },
        fetch: async (input, init) => {
          const response = await real(input, init)
          if (!String(input).includes(path)) return response
          return new Response(change(await response.text()), { headers: response.headers })
        }
      })
      const said = await verdictOf(verifier, access_token)
      verifier.close()
      return said
    }
    let document = ''
    t.equal(
      await verdict((text) => {
        document = text
        return text
      }),
      'good'
    )
    const wrong: string[] = []
    for (let at = 0; at < document.length; at++) {
      const said = await verdict((text) => flipped(text, at))
      if (said !== 'revocation_unavailable') wrong.push(`another character at ${at}: ${said}`)
    }
    for (const [how, change] of [
      ['cut', (text: string) => text.slice(0, -1)],
      ['longer', (text: string) => `${text}A`],
      ['without a signature', (text: string) => text.slice(0, text.lastIndexOf('.') + 1)],
      ['an access token', () => access_token],
      ['nothing', () => '']
    ] as const) {
      const said = await verdict(change)
      if (said !== 'revocation_unavailable') wrong.push(`${how}: ${said}`)
    }
    t.same(wrong.slice(0, 5), [], `${mode}: ${document.length} places`)
  }
})
