import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'

const encodings = {
  privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  publicKeyEncoding: { type: 'spki', format: 'der' }
} as const

/**
 * A pair of keys, read again from its bytes: in Node 20 one that comes straight out of the generator may stop the process
 * for good when it is exported.
 */
export function freshKeyPair(kind: 'ec' | 'ed25519' | 'rsa') {
  const made =
    kind === 'ec'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256', ...encodings })
      : kind === 'ed25519'
        ? generateKeyPairSync('ed25519', encodings)
        : generateKeyPairSync('rsa', { modulusLength: 2048, ...encodings })
  return {
    privateKey: createPrivateKey({ key: made.privateKey as unknown as Buffer, format: 'der', type: 'pkcs8' }),
    publicKey: createPublicKey({ key: made.publicKey as unknown as Buffer, format: 'der', type: 'spki' })
  }
}
