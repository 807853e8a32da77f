import type { Proof } from '../domain/dpop-proof.js'
import { Refusal } from '../domain/refusal.js'
import * as usedIdentifiers from '../storage/used-identifiers.js'
import type { Tools } from './flow.js'

/**
 * Counts a proof as used. Throws `dpop_proof_invalid` where it was before, at whichever replica: of several that race
 * with one proof, one gets through (RFC 9449 §11.1).
 */
export async function spendProof(tools: Tools, proof: Proof): Promise<void> {
  if (await usedIdentifiers.use(tools.db, proof.identifier, proof.expiresAt)) return
  throw new Refusal('dpop_proof_invalid', {
    because: 'used before',
    detail: 'It was used before. Make a proof for each request, also for one that is sent again.'
  })
}
