import cookie from '@fastify/cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { ForwardedRequest } from '../domain/forwarded-request.js'
import { judgeCookieRequest, judgeForwardedCookie, type MissingProof } from '../domain/origin.js'
import { Refusal, type RefusalCode } from '../domain/refusal.js'

type WithCookies = Pick<FastifyRequest, 'headers' | 'cookies'>

/** A cookie that no script reads and no other host or path sets. */
export interface ServiceCookie {
  readonly name: string
  /** The one value that a request carries; undefined where there is none. Throws where there are several. */
  read(request: WithCookies): string | undefined
  set(reply: FastifyReply, value: string, maxAgeSeconds: number): void
  clear(reply: FastifyReply): void
}

declare module 'fastify' {
  interface FastifyInstance {
    /** The refresh token of browsers; sent to this site alone. */
    readonly refreshCookie: ServiceCookie
    /** Speaks for a session on pages; also sent when another site links here. */
    readonly sessionCookie: ServiceCookie
    /** Tells that somebody has signed in here before; opens nothing. */
    readonly deviceCookie: ServiceCookie
    /** Throws `csrf_failed` where a request with a cookie may come from another site (RFC 10017 §6.1.3.3). */
    assertSameSite(request: WithCookies): void
    /** The same for the request that a proxy asks about. */
    assertForwardedSameSite(request: WithCookies, forwarded: ForwardedRequest): void
  }
}

export interface CookiesOptions {
  /** Whether clients reach the service by https; without it browsers take neither the prefix nor `Secure`. */
  readonly secure: boolean
  /** Exact origins, the service's own among them. */
  readonly allowedOrigins: ReadonlySet<string>
}

function serviceCookie(
  name: string,
  attributes: { path: string; httpOnly: boolean; secure: boolean; sameSite: 'strict' | 'lax' },
  whenSeveral: RefusalCode
): ServiceCookie {
  const occurrences = new RegExp(`(?:^|;)\\s*${name}\\s*=`, 'g')
  return {
    name,
    read(request) {
      const header = request.headers.cookie
      if (header === undefined) return undefined
      // Two of one name: a sibling host planted one, and nobody can tell which.
      if ((header.match(occurrences)?.length ?? 0) > 1)
        throw new Refusal(whenSeveral, { because: `two cookies ${name}` })
      return request.cookies[name] || undefined
    },
    set: (reply, value, maxAge) => void reply.setCookie(name, value, { ...attributes, maxAge }),
    clear: (reply) => void reply.clearCookie(name, attributes)
  }
}

/** What to send, never what was sent. */
const proofs: Record<MissingProof['proof'], string> = {
  content_type: 'The content type is not JSON: send "Content-Type: application/json", also where there is no body.',
  custom_header: 'The header "X-Auth-Request: 1" is missing.',
  origin:
    "The request does not come from an origin that is allowed here: send it from a page of the service's own origin or of " +
    'one listed in AUTH_ALLOWED_ORIGINS. A client that is no browser names one in "Origin", or uses a token instead.'
}

function assertNothingMissing(missing: MissingProof | null): void {
  if (missing === null) return
  throw new Refusal('csrf_failed', { because: missing.because, detail: proofs[missing.proof] })
}

export const cookies = fp<CookiesOptions>(
  async (app, { secure, allowedOrigins }) => {
    await app.register(cookie)
    const attributes = { path: '/', httpOnly: true, secure }

    app.decorate(
      'refreshCookie',
      serviceCookie(secure ? '__Host-Http-rt' : 'keyturn-rt', { ...attributes, sameSite: 'strict' }, 'token_invalid')
    )
    // lax: a link from elsewhere must find its reader signed in. What changes anything is asked for more than a cookie.
    app.decorate(
      'sessionCookie',
      serviceCookie(
        secure ? '__Host-Http-session' : 'keyturn-session',
        { ...attributes, sameSite: 'lax' },
        'request_malformed'
      )
    )
    app.decorate(
      'deviceCookie',
      serviceCookie(
        secure ? '__Host-Http-device' : 'keyturn-device',
        { ...attributes, sameSite: 'strict' },
        'request_malformed'
      )
    )
    app.decorate('assertSameSite', ({ headers }: WithCookies) => {
      const custom = headers['x-auth-request']
      const missing = judgeCookieRequest(
        {
          contentType: headers['content-type'],
          fetchSite: headers['sec-fetch-site'] as string | undefined,
          origin: headers.origin,
          customHeader: Array.isArray(custom) ? custom[0] : custom
        },
        allowedOrigins
      )
      assertNothingMissing(missing)
    })
    app.decorate('assertForwardedSameSite', ({ headers }: WithCookies, { url }: ForwardedRequest) => {
      const fetchSite = headers['sec-fetch-site'] as string | undefined
      const own = url?.origin ?? null
      assertNothingMissing(judgeForwardedCookie({ fetchSite, origin: headers.origin, own }, allowedOrigins))
    })
  },
  { name: 'cookies', fastify: '5.x' }
)
