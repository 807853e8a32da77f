import { BlockList, isIPv6 } from 'node:net'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { type ForwardedRequest, type ProxyDialect, readForwarded } from '../domain/forwarded-request.js'
import { Refusal } from '../domain/refusal.js'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Notes the request that a proxy asks about. Throws `permission_denied` where whoever sent this one is none of the
     * proxies that are trusted, or does not say what it is about: what anybody else says of a request counts for nothing.
     */
    noteForwarded(request: FastifyRequest, dialect: ProxyDialect): void
  }
  interface FastifyRequest {
    /** The request that this one is about, where a proxy asks; null for all others, which are about themselves. */
    forwarded: ForwardedRequest | null
  }
}

export interface ForwardedOptions {
  /** Addresses and networks. */
  readonly trustedProxies: readonly string[]
}

/** Requests that are about another one. */
export const forwarded = fp<ForwardedOptions>(
  async (app, { trustedProxies }) => {
    const trusted = new BlockList()
    for (const network of trustedProxies) {
      const [address = '', prefix] = network.split('/')
      const family = isIPv6(address) ? 'ipv6' : 'ipv4'
      if (prefix === undefined) trusted.addAddress(address, family)
      else trusted.addSubnet(address, Number(prefix), family)
    }

    app.decorateRequest('forwarded', null)
    app.decorate('noteForwarded', (request: FastifyRequest, dialect: ProxyDialect) => {
      // The neighbour itself, not whom it speaks for. A zone (%eth0) is no part of an address elsewhere.
      const peer = (request.socket.remoteAddress ?? '').replace(/%.*$/, '')
      if (peer === '' || !trusted.check(peer, isIPv6(peer) ? 'ipv6' : 'ipv4')) {
        throw new Refusal('permission_denied', { because: `the proxy ${peer} is not in AUTH_TRUSTED_PROXIES` })
      }
      const { method, url: path, headers } = request
      const about = readForwarded(dialect, { method, path, headers })
      // One that leaves it out is set up for another path here, whose end may then be the client's.
      if (about.method === '' || about.url === null) {
        const because = `the proxy does not say the method and the address (${dialect}): see docs/proxies.md`
        throw new Refusal('permission_denied', { because })
      }
      request.forwarded = about
    })
  },
  { name: 'forwarded', fastify: '5.x' }
)
