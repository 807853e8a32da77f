import { createHash } from 'node:crypto'
import { isCanonicalBase64url } from './base64url.js'
import { assertionAlgorithms, type ClientKey } from './client.js'
import { duplicateMember } from './json-members.js'
import { later } from './session.js'
import { tokenMaxLength } from './token-gate.js'

/** Assertions by which clients authenticate themselves (RFC 7523 §2.2, §3), as far as no cryptography is needed. */

export interface AssertionHeader {
  readonly alg: string
  readonly kid: string | undefined
}

/** What an assertion says before its signature was looked at: believe none of it, and look up the key by it. */
export interface ReadAssertion {
  readonly header: AssertionHeader
  readonly claims: Readonly<Record<string, unknown>>
}

/** A part as the object that it encodes; undefined where it is none, or says one thing twice. */
function readPart(part: string): Record<string, unknown> | undefined {
  if (!isCanonicalBase64url(part)) return undefined
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(part, 'base64url'))
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    return duplicateMember(text) === undefined ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** Types under which an assertion may come; one of our own documents is never one (RFC 8725 §3.11). */
const types: ReadonlySet<unknown> = new Set([undefined, 'JWT', 'client-authentication+jwt'])

/** Reads an assertion; undefined where it cannot be one. */
export function readAssertion(text: string): ReadAssertion | undefined {
  if (text.length > tokenMaxLength) return undefined
  const [first = '', second = '', third = '', ...more] = text.split('.')
  if (more.length > 0 || !isCanonicalBase64url(third)) return undefined
  const header = readPart(first)
  const claims = readPart(second)
  if (header === undefined || claims === undefined) return undefined
  const { alg, kid, typ } = header
  if (typeof alg !== 'string' || !assertionAlgorithms.includes(alg) || !types.has(typ)) return undefined
  if (kid !== undefined && typeof kid !== 'string') return undefined
  // Whatever else a header may ask for is not done, and whoever asks for it relies on it (RFC 7515 §4.1.11).
  if ('crit' in header || 'b64' in header) return undefined
  return { header: { alg, kid }, claims }
}

/** The keys that may have signed: of the header's algorithm, and under its name where it has one. */
export function candidateKeys(keys: readonly ClientKey[], header: AssertionHeader): ClientKey[] {
  return keys.filter(({ alg, kid }) => alg === header.alg && (header.kid === undefined || kid === header.kid))
}

export interface AssertionExpectation {
  readonly clientId: string
  /** Either names this service: the issuer, or the token endpoint. */
  readonly audience: readonly string[]
  /** Seconds by which clocks may disagree. */
  readonly leeway: number
}

/** Seconds that an assertion may be good for: each is remembered until it has expired. */
export const assertionMaxLife = 300

export type AssertionVerdict =
  | { readonly ok: true; readonly jti: string; readonly expiresAt: Date }
  | { readonly ok: false; readonly because: string }

const isInstant = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
const refuse = (because: string): AssertionVerdict => ({ ok: false, because })

/** Judges the claims of an assertion whose signature was right (RFC 7523 §3). */
export function judgeAssertion(
  claims: Readonly<Record<string, unknown>>,
  expected: AssertionExpectation,
  now: Date
): AssertionVerdict {
  const { iss, sub, aud, exp, iat, nbf, jti } = claims
  if (iss !== expected.clientId || sub !== expected.clientId) return refuse('iss and sub are not the client')
  // One audience alone: an assertion that is also for somebody else is one that they can send here.
  const audience = Array.isArray(aud) && aud.length === 1 ? aud[0] : aud
  if (typeof audience !== 'string' || !expected.audience.includes(audience)) return refuse('aud is not this service')
  const at = now.getTime() / 1000
  if (!isInstant(exp)) return refuse('exp is missing or malformed')
  if (exp + expected.leeway <= at) return refuse('expired')
  if (exp - expected.leeway > at + assertionMaxLife) return refuse('exp is too far away')
  for (const instant of [iat, nbf]) {
    if (instant === undefined) continue
    if (!isInstant(instant) || instant - expected.leeway > at) return refuse('not yet valid')
  }
  if (typeof jti !== 'string' || jti === '' || jti.length > 200) return refuse('jti is missing or malformed')
  // A minute more than anybody's clock can need: what is forgotten too early could be sent again.
  return { ok: true, jti, expiresAt: later(new Date(exp * 1000), expected.leeway * 2_000 + 60_000) }
}

/** By what an assertion is remembered: another client's `jti` is another one. */
export function assertionDigest(clientId: string, jti: string): Buffer {
  return createHash('sha256').update(`client assertion\0${clientId}\0${jti}`).digest()
}
