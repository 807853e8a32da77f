import { type KeyObject, randomBytes } from 'node:crypto'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { assertionType } from '../../src/domain/client-credentials.js'
import { forge } from './forge.js'
import { freshKeyPair } from './key-pairs.js'
import { issuer, type World } from './world.js'

const form = 'application/x-www-form-urlencoded'

type Fields = Record<string, string>

/** Posts a form. Texts are sent as they are. */
export function postForm(
  app: FastifyInstance,
  url: string,
  fields: Fields | string,
  headers: Fields = {}
): Promise<LightMyRequestResponse> {
  const payload = typeof fields === 'string' ? fields : new URLSearchParams(fields).toString()
  return app.inject({ method: 'POST', url, headers: { 'content-type': form, ...headers }, payload })
}

/** A Basic header of a client, each part encoded as a form's value (RFC 6749 §2.3.1). */
export function basicOf(id: string, secret: string): string {
  const [name, password] = [id, secret].map((text) => new URLSearchParams({ '': text }).toString().slice(1))
  return `Basic ${btoa(`${name}:${password}`)}`
}

/** How a client proves itself in one request. */
export interface Proof {
  readonly fields: Fields
  readonly headers: Fields
}

export type ClientInput = Parameters<World['app']['flows']['createClient']>[0]

/** A registered client with a secret. */
export async function clientWithSecret(w: World, input: Partial<ClientInput> = {}) {
  const made = await w.app.flows.createClient({ name: 'service', ...input })
  const { id, accountId } = made.client.client
  const secret = made.secret!
  return {
    id,
    accountId,
    secret,
    basic: { fields: {}, headers: { authorization: basicOf(id, secret) } } as Proof,
    post: { fields: { client_id: id, client_secret: secret }, headers: {} } as Proof
  }
}

type KeyAlgorithm = 'ES256' | 'EdDSA' | 'Ed25519' | 'RS256' | 'PS256'

export function keyPair(alg: KeyAlgorithm, kid?: string) {
  const kind = alg === 'ES256' ? 'ec' : alg.startsWith('Ed') ? 'ed25519' : 'rsa'
  const { privateKey, publicKey } = freshKeyPair(kind)
  const jwk = { ...publicKey.export({ format: 'jwk' }), alg, ...(kid === undefined ? {} : { kid }) }
  return { alg, kid, privateKey, jwk: jwk as Record<string, unknown> }
}

/** The claims of an assertion that is right in all but what is changed; `undefined` takes one out. */
export function assertionClaims(w: World, id: string, change: Record<string, unknown> = {}): Record<string, unknown> {
  const now = Math.floor(w.now().getTime() / 1000)
  const jti = randomBytes(12).toString('base64url')
  return { iss: id, sub: id, aud: issuer, iat: now, exp: now + 60, jti, ...change }
}

export function sign(
  key: { readonly alg: string; readonly kid?: string | undefined; readonly privateKey: KeyObject },
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {}
): string {
  return forge(key.alg, key.privateKey, { alg: key.alg, typ: 'JWT', kid: key.kid, ...header }, claims)
}

export function byAssertion(assertion: string, more: Fields = {}): Proof {
  return { fields: { client_assertion_type: assertionType, client_assertion: assertion, ...more }, headers: {} }
}

/** A registered client with one key. */
export async function clientWithKey(w: World, input: Partial<ClientInput> = {}, alg: KeyAlgorithm = 'ES256') {
  const key = keyPair(alg, 'one')
  const made = await w.app.flows.createClient({ name: 'service', ...input, jwks: { keys: [key.jwk] } })
  const { id, accountId } = made.client.client
  return {
    id,
    accountId,
    key,
    /** Another one each time: each counts once. */
    assertion: (change: Record<string, unknown> = {}, header: Record<string, unknown> = {}) =>
      sign(key, assertionClaims(w, id, change), header),
    proof: (change: Record<string, unknown> = {}) => byAssertion(sign(key, assertionClaims(w, id, change)))
  }
}
