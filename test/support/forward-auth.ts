import type { LightMyRequestResponse } from 'fastify'
import type { World } from './world.js'

/** A request to a proxy's upstream. */
export interface OriginalRequest {
  readonly method?: string
  readonly url?: string
  readonly headers?: Record<string, string>
}

export const proxyNames = ['traefik', 'caddy', 'nginx', 'envoy'] as const
export type ProxyName = (typeof proxyNames)[number]

/**
 * The request that a proxy makes of it:
 *
 * - Traefik 3: always GET, the client's headers but those of a connection, five headers of its own that replace the client's
 *   (pkg/middlewares/auth/forward.go, writeHeader, with trustForwardHeader off).
 * - Caddy 2: GET, the client's headers, and where `uri` has no query the client's own (modules/caddyhttp/reverseproxy/forwardauth).
 * - nginx: GET, the client's headers, and what examples/nginx sets.
 * - Envoy: the client's method, `path_prefix` and then its path; of its headers those that examples/envoy allows, and Host
 *   (source/extensions/filters/common/ext_authz/ext_authz_http_impl.cc).
 */
export function asProxy(
  proxy: ProxyName,
  { method = 'GET', url = 'https://shop.test/', headers = {} }: OriginalRequest,
  demand?: string
) {
  const { protocol, host, pathname, search } = new URL(url)
  const suffix = demand === undefined ? '' : `/${demand}`
  const forwarded = {
    ...headers,
    'x-forwarded-for': '203.0.113.7',
    'x-forwarded-proto': protocol.slice(0, -1),
    'x-forwarded-host': host,
    'x-forwarded-method': method,
    'x-forwarded-uri': pathname + search
  }
  switch (proxy) {
    case 'traefik':
      return {
        method: 'GET',
        url: `/v1/forward-auth${suffix}`,
        headers: { ...forwarded, 'x-forwarded-server': 'proxy' }
      }
    case 'caddy':
      return { method: 'GET', url: `/v1/forward-auth${suffix}${search}`, headers: forwarded }
    case 'nginx':
      return {
        method: 'GET',
        url: `/v1/forward-auth/nginx${suffix}`,
        headers: { ...headers, 'x-original-method': method, 'x-original-url': url, 'x-forwarded-for': '203.0.113.7' }
      }
    case 'envoy':
      return {
        method,
        url: `/v1/forward-auth/envoy/${demand ?? 'authenticated'}${pathname}${search}`,
        headers: {
          ...headers,
          host,
          'x-forwarded-for': '203.0.113.7',
          'x-forwarded-proto': protocol.slice(0, -1),
          'content-length': '0'
        }
      }
  }
}

/** Asks as a proxy at an address does. */
export function ask(
  w: Pick<World, 'app'>,
  proxy: ProxyName,
  original: OriginalRequest = {},
  demand?: string,
  remoteAddress = '10.0.0.9'
): Promise<LightMyRequestResponse> {
  return w.app.inject({ ...asProxy(proxy, original, demand), remoteAddress } as object)
}
