import { createHash, createHmac } from 'node:crypto'
import { type DraftProof, normalizedUri, proofWindow } from './dpop.js'
import { thumbprint } from './key-ring.js'
import { later } from './session.js'

/** `ath`: a digest of the access token as it is written (RFC 9449 §4.2). */
export function tokenHash(accessToken: string): string {
  return createHash('sha256').update(accessToken).digest('base64url')
}

/** What remains of a proof that was right in all that can be known without the database. */
export interface Proof {
  readonly jkt: string
  /** What counts once: the digest of key, `jti` and address (RFC 9449 §11.1). */
  readonly identifier: Buffer
  /** Until when it has to be remembered that it was used. */
  readonly expiresAt: Date
}

/** Twice as long as a proof can be accepted, so that a replica whose clock is a minute behind still knows of it. */
const rememberedFor = 2 * (proofWindow.past + proofWindow.future) * 1000

export function proofOf(draft: DraftProof, jti: string, uri: string, now: Date): Proof {
  const jkt = thumbprint(draft.jwk)
  const content = JSON.stringify(['dpop', jkt, jti, normalizedUri(uri)])
  const identifier = createHash('sha256').update(content).digest()
  return { jkt, identifier, expiresAt: later(now, rememberedFor) }
}

/** Milliseconds for which one nonce is given out. It is accepted for as long again. */
const nonceLife = 60_000

/**
 * The nonces that are good at this moment, the one to give out first (RFC 9449 §8). Each follows from the time and a
 * secret that all replicas share, so that nothing is stored and every replica accepts those of the others.
 */
export function noncesAt(secret: Buffer, now: Date): readonly [string, string] {
  const period = Math.floor(now.getTime() / nonceLife)
  const nonce = (at: number) => createHmac('sha256', secret).update(`nonce ${at}`).digest('base64url')
  return [nonce(period), nonce(period - 1)]
}
