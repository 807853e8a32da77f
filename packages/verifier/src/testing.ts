import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { CompactSign } from 'jose'
import { type AccessTokenClaims, composeClaims } from '../../../src/domain/access-token.js'
import { composeFeed } from '../../../src/domain/feed-page.js'
import { thumbprint } from '../../../src/domain/key-ring.js'
import { everything, type Revocation, type RevocationKind } from '../../../src/domain/revocation.js'
import { feedMaxEntries, feedType } from '../../../src/domain/revocation-feed.js'
import { RevocationLog } from '../../../src/domain/revocation-log.js'
import type { VerifierOptions } from './options.js'

/** What is signed instead of what would be; `undefined` takes a claim out. */
export type ClaimChanges = { readonly [claim: string]: unknown } & Partial<AccessTokenClaims>

export interface TokenChanges {
  /** Seconds, 600 unless said. */
  readonly expiresIn?: number
  readonly header?: Readonly<Record<string, unknown>>
}

/** An issuer for tests: real keys, real signatures, a real feed, and no mock of the verifier. */
export interface TestIssuer {
  readonly issuer: string
  readonly audience: string
  /** What `createVerifier` takes; `fetch` in it reaches this issuer and nothing else. */
  readonly options: VerifierOptions
  /** A good access token, with the claims that are given in place of its own. */
  token(claims?: ClaimChanges, changes?: TokenChanges): Promise<string>
  /** One that expired a minute ago. */
  expired(claims?: ClaimChanges): Promise<string>
  /** One by a key that the issuer does not have, under the id of one that it has. */
  wrongKey(claims?: ClaimChanges): Promise<string>
  wrongAudience(claims?: ClaimChanges): Promise<string>
  /** Signs with a new key from now on. The old one stays in the key set unless `keepOld` is false. */
  rotate(options?: { readonly keepOld?: boolean }): Promise<void>
  /** Whether all requests fail from now on. */
  outage(on: boolean): void
  /** Ends a session, or whatever else a kind and a subject name. */
  revoke(subject: string, kind?: RevocationKind): void
  /** Requests since the start, or those to one path. */
  fetches(path?: string): number
  /** The same over a socket, for what is not given the options. */
  listen(): Promise<{ readonly url: string; close(): Promise<void> }>
}

export interface TestIssuerOptions {
  readonly issuer?: string
  readonly audience?: string
  readonly algorithm?: 'ES256' | 'EdDSA' | 'RS256' | 'PS256'
  readonly revocation?: VerifierOptions['revocation']
  readonly now?: () => number
}

interface Key {
  readonly kid: string
  readonly privateKey: KeyObject
  readonly jwk: Record<string, unknown>
}

const encodings = {
  privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  publicKeyEncoding: { type: 'spki', format: 'der' }
} as const

/**
 * The key is read again from its bytes: in Node 20 one that comes straight out of the generator shares a lock with it, and
 * a collection of garbage at the wrong moment of an export stops the process for good.
 */
function makeKey(algorithm: string): Key {
  const made =
    algorithm === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256', ...encodings })
      : algorithm === 'EdDSA'
        ? generateKeyPairSync('ed25519', encodings)
        : generateKeyPairSync('rsa', { modulusLength: 3072, ...encodings })
  // The declarations promise a KeyObject whatever the encodings say.
  const bytes = made.privateKey as unknown as Buffer
  const privateKey = createPrivateKey({ key: bytes, format: 'der', type: 'pkcs8' })
  const publicKey = createPublicKey(privateKey)
  const jwk = publicKey.export({ format: 'jwk' }) as Record<string, unknown>
  const kid = thumbprint(jwk)
  return { kid, privateKey, jwk: { ...jwk, kid, alg: algorithm, use: 'sig' } }
}

interface Reply {
  readonly status: number
  readonly type: string
  readonly body: string
}

const json = (body: unknown, type = 'application/json'): Reply => ({ status: 200, type, body: JSON.stringify(body) })

/** Makes an issuer with keys of its own. Nothing listens unless it is told to. */
export async function createTestIssuer(given: TestIssuerOptions = {}): Promise<TestIssuer> {
  const { issuer = 'https://issuer.test', audience = 'api', algorithm = 'ES256', revocation = 'none' } = given
  const now = given.now ?? Date.now
  let signing = makeKey(algorithm)
  let published = [signing]
  let isOut = false
  let lastId = 0
  const log = new RevocationLog()
  const ended = new Set<string>()
  const counts = new Map<string, number>()

  const sign = (payload: unknown, typ: string, key: Key, header: object = {}) =>
    new CompactSign(new TextEncoder().encode(JSON.stringify(payload)))
      .setProtectedHeader({ alg: algorithm, kid: key.kid, typ, ...header })
      .sign(key.privateKey)

  function claimsOf(changes: ClaimChanges, expiresIn: number): Record<string, unknown> {
    const at = new Date(now())
    const claims = composeClaims(
      {
        accountId: randomUUID(),
        clientId: 'web',
        scope: '',
        roles: [],
        permissions: [],
        revision: lastId,
        userId: undefined,
        jkt: null,
        sessionId: randomUUID(),
        authenticatedAt: at,
        amr: ['pwd'],
        acr: 'aal1',
        sessionExpiresAt: new Date(at.getTime() + 86_400_000),
        statusIndex: null
      },
      { issuer, audience, lifetime: 600_000 },
      randomUUID(),
      0,
      at
    )
    return { ...claims, exp: Math.floor(at.getTime() / 1000) + expiresIn, ...changes }
  }

  const token = (changes: ClaimChanges = {}, { expiresIn = 600, header = {} }: TokenChanges = {}, key = signing) =>
    sign(claimsOf(changes, expiresIn), 'at+jwt', key, header)

  const metadata = () => ({
    issuer,
    jwks_uri: `${issuer}/.well-known/jwks.json`,
    introspection_endpoint: `${issuer}/oauth/introspect`,
    keyturn_revocations_uri: `${issuer}/v1/revocations`
  })

  function introspect(form: URLSearchParams): Reply {
    const [, payload = ''] = (form.get('token') ?? '').split('.')
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString() || '{}')
    const isOver = [claims.sid, claims.jti, claims.sub].some((subject) => ended.has(subject))
    return json(isOver ? { active: false } : { active: true, ...claims })
  }

  async function answer(url: URL, body: string): Promise<Reply> {
    counts.set(url.pathname, (counts.get(url.pathname) ?? 0) + 1)
    if (isOut) return { status: 503, type: 'text/plain', body: 'an outage' }
    switch (url.pathname) {
      case '/.well-known/oauth-authorization-server':
      case '/.well-known/openid-configuration':
        return json(metadata())
      case '/.well-known/jwks.json':
        return json({ keys: published.map(({ jwk }) => jwk) }, 'application/jwk-set+json')
      case '/oauth/introspect':
        return introspect(new URLSearchParams(body))
      case '/v1/revocations': {
        const since = url.searchParams.get('since') ?? '0'
        const content = { since, entries: log.after(since, feedMaxEntries), cursor: log.cursor }
        const document = composeFeed(content, issuer, new Date(now()))
        return { status: 200, type: `application/${feedType}`, body: await sign(document, feedType, signing) }
      }
      default:
        return { status: 404, type: 'text/plain', body: '' }
    }
  }

  const fetchHere: typeof globalThis.fetch = async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input)
    if (url.origin !== new URL(issuer).origin) throw new TypeError(`${url.origin} is not the test issuer`)
    const { status, type, body } = await answer(url, init?.body === undefined ? '' : String(init.body))
    return new Response(body, { status, headers: { 'content-type': type } })
  }

  return {
    issuer,
    audience,
    options: {
      issuer,
      audience,
      revocation,
      fetch: fetchHere,
      now,
      client: { clientId: 'test', clientSecret: 'test' }
    },
    token,
    expired: (changes = {}) => token({ iat: Math.floor(now() / 1000) - 660, ...changes }, { expiresIn: -60 }),
    wrongKey: (changes = {}) => token(changes, { header: { kid: signing.kid } }, makeKey(algorithm)),
    wrongAudience: (changes = {}) => token({ aud: `not ${audience}`, ...changes }),
    async rotate({ keepOld = true } = {}) {
      signing = makeKey(algorithm)
      published = keepOld ? [...published, signing] : [signing]
    },
    outage(on) {
      isOut = on
    },
    revoke(subject, kind = 'session') {
      const entry: Revocation = {
        id: ++lastId,
        kind,
        subject: kind === 'all' ? everything : subject,
        because: 'test',
        expiresAt: new Date(now() + 660_000)
      }
      log.append(entry)
      ended.add(subject)
    },
    fetches: (path) =>
      path === undefined ? [...counts.values()].reduce((sum, count) => sum + count, 0) : (counts.get(path) ?? 0),
    async listen() {
      const server = createServer(async (request, response) => {
        let body = ''
        for await (const chunk of request.setEncoding('utf8')) body += chunk
        const reply = await answer(new URL(request.url ?? '/', issuer), body)
        response.writeHead(reply.status, { 'content-type': reply.type }).end(reply.body)
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as { port: number }
      return {
        url: `http://127.0.0.1:${port}`,
        close: () =>
          new Promise((resolve) => {
            server.close(() => resolve())
            server.closeAllConnections()
          })
      }
    }
  }
}
