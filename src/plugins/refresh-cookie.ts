import cookie from '@fastify/cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { judgeCookieRequest } from '../domain/origin.js'
import { Refusal } from '../domain/refusal.js'

type WithCookies = Pick<FastifyRequest, 'headers' | 'cookies'>

export interface RefreshCookie {
  /** The one refresh token that a cookie carries; undefined where there is none. Throws where there are several. */
  read(request: WithCookies): string | undefined
  set(reply: FastifyReply, token: string, maxAgeSeconds: number): void
  clear(reply: FastifyReply): void
  /** Throws `csrf_failed` where a request with a cookie may come from another site (RFC 10017 §6.1.3.3). */
  assertSameSite(request: WithCookies): void
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly refreshCookie: RefreshCookie
  }
}

export interface RefreshCookieOptions {
  /** Whether clients reach the service by https; without it browsers take neither the prefix nor `Secure`. */
  readonly secure: boolean
  /** Exact origins, the service's own among them. */
  readonly allowedOrigins: ReadonlySet<string>
}

/** The refresh token of browsers: in a cookie that no script reads and no other host or path sets. */
export const refreshCookie = fp<RefreshCookieOptions>(
  async (app, { secure, allowedOrigins }) => {
    await app.register(cookie)
    const name = secure ? '__Host-Http-rt' : 'keyturn-rt'
    const attributes = { path: '/', httpOnly: true, secure, sameSite: 'strict' } as const
    const occurrences = new RegExp(`(?:^|;)\\s*${name}\\s*=`, 'g')

    app.decorate('refreshCookie', {
      read(request) {
        const header = request.headers.cookie
        if (header === undefined) return undefined
        // Two of one name: a sibling host planted one, and nobody can tell which.
        if ((header.match(occurrences)?.length ?? 0) > 1) {
          throw new Refusal('token_invalid', { because: 'two refresh cookies' })
        }
        return request.cookies[name] || undefined
      },
      set: (reply, token, maxAge) => void reply.setCookie(name, token, { ...attributes, maxAge }),
      clear: (reply) => void reply.clearCookie(name, attributes),
      assertSameSite({ headers }) {
        const custom = headers['x-auth-request']
        const because = judgeCookieRequest(
          {
            contentType: headers['content-type'],
            fetchSite: headers['sec-fetch-site'] as string | undefined,
            origin: headers.origin,
            customHeader: Array.isArray(custom) ? custom[0] : custom
          },
          allowedOrigins
        )
        if (because !== null) throw new Refusal('csrf_failed', { because })
      }
    } satisfies RefreshCookie)
  },
  { name: 'refresh-cookie', fastify: '5.x' }
)
