import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import type { SigningAlgorithm } from '../../src/domain/key-ring.js'
import { clientWithSecret } from '../support/clients.js'
import { bindingLogin, clientKey, proofFor } from '../support/dpop.js'
import { specimens } from '../support/interop.js'
import { missingRuntime, runtimes, serveOn } from '../support/runtimes.js'
import { until } from '../support/until.js'
import { issuer, world } from '../support/world.js'

const now = () => new Date()
const modes = {
  none: 'none',
  feed: { mode: 'feed', interval: 0.1, onStale: 'deny' },
  push: { mode: 'push', onStale: 'deny' },
  list: { mode: 'status-list', onStale: 'deny' },
  introspect: { mode: 'introspect' }
} as const

/** A service by this machine's clock, behind a socket, and what verifiers are told of it. */
async function service(t: Test, algorithm: SigningAlgorithm) {
  const w = await world(t, (options) => ({
    ...options,
    signing: { ...options.signing, algorithm },
    flows: { ...options.flows, statusList: true },
    clock: now
  }))
  await w.role('editor')
  await w.app.listen({ host: '127.0.0.1', port: 0 })
  const { id: clientId, secret: clientSecret } = await clientWithSecret(w, { permissions: ['keyturn.introspect'] })
  const { port } = w.app.server.address() as AddressInfo
  const common = { issuer, audience: 'api', baseUrl: `http://127.0.0.1:${port}`, timeout: 3 }
  return { w: { ...w, now }, options: { ...common, client: { clientId, clientSecret } }, ...(await specimens(w)) }
}

const codeOf = async (answer: Response) => ((await answer.json()) as { code?: string }).code

/** Of each algorithm that is not the default a service that all platforms ask. */
const others = await Promise.all(
  (['Ed25519', 'RS256', 'PS256'] as const).map(async (algorithm) => ({
    algorithm,
    ...(runtimes.every(missingRuntime) ? undefined! : await service(t, algorithm))
  }))
)

for (const runtime of runtimes) {
  const title = `${runtime}: a service verifies offline, learns of a sign-out, and takes nothing that is bad`
  t.test(title, { skip: missingRuntime(runtime) }, async (t) => {
    const es256 = await service(t, 'ES256')
    const { w } = es256
    const { token } = es256.good[0]!
    const verifiers = [
      ...Object.entries(modes).map(([mode, revocation]) => [mode, { ...es256.options, revocation }]),
      ...others.map(({ algorithm, options }) => [algorithm, { ...options, revocation: 'none' }])
    ]
    const url = await serveOn(t, runtime, { origin: issuer, verifiers: Object.fromEntries(verifiers) })
    const ask = (path: string, token: string | null, headers: Record<string, string> = {}, signal?: AbortSignal) =>
      fetch(url + path, {
        headers: { ...(token !== null && { authorization: `Bearer ${token}` }), ...headers },
        signal: signal ?? null
      })

    // As a deploy meets it: one who does not wait for the answer, and then everybody at once.
    const impatient = new AbortController()
    const left = ask('/feed', token, {}, impatient.signal)
    impatient.abort()
    await t.rejects(left)
    const crowd = Object.keys(modes).flatMap((mode) => Array.from({ length: 10 }, () => ask(`/${mode}`, token)))
    t.same([...new Set((await Promise.all(crowd)).map(({ status }) => status))], [200], 'at a cold start')

    for (const { algorithm, good, bad, otherType } of [{ algorithm: 'none', ...es256 }, ...others]) {
      for (const { title, token } of good) t.equal((await ask(`/${algorithm}`, token)).status, 200, title)
      for (const { title, token } of [...bad, ...otherType]) {
        const answer = await ask(`/${algorithm}`, token)
        t.equal(answer.status, 401, `${algorithm}, ${title}`)
        t.match(answer.headers.get('www-authenticate'), /^Bearer realm=/)
      }
    }
    t.equal(await codeOf(await ask('/none', null)), 'authentication_required')
    t.equal((await ask('/none/editors', token)).status, 403, 'who is no editor')

    const key = clientKey()
    const { access_token: bound } = await bindingLogin(w, key)
    const proven = {
      authorization: `DPoP ${bound}`,
      dpop: proofFor(w, key, { method: 'GET', path: '/none', accessToken: bound })
    }
    t.equal((await ask('/none', null, proven)).status, 200, 'with a proof')
    t.equal(await codeOf(await ask('/none', null, proven)), 'dpop_proof_invalid', 'once')
    t.equal(await codeOf(await ask('/none', bound)), 'token_invalid', 'and not as a bearer token')

    const session = await w.login(await w.account())
    for (const path of [...Object.keys(modes), 'none/fresh']) {
      t.equal((await ask(`/${path}`, session.access_token)).status, 200, `${path}: before`)
    }
    await w.post('/v1/logout', { refresh_token: session.refresh_token })
    // A worker has nothing that goes on between requests, and so no stream.
    for (const path of ['/introspect', '/none/fresh', '/feed', ...(runtime === 'workerd' ? [] : ['/push'])]) {
      const isOver = async () => (await ask(path, session.access_token)).status === 401
      t.ok(await until(isOver), `${path}: a sign-out is known`)
    }

    await w.app.close()
    t.equal((await ask('/none', token)).status, 200, 'the issuer is away, and its keys are known')
    t.equal((await ask('/introspect', token)).status, 503, 'what cannot be known is no 401')
  })
}
