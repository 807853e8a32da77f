import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'
import fp from 'fastify-plugin'
import { type TextKey, textKey } from '../domain/signed-text.js'

/** What follows from the master key: seals for what lies in the database, and the keys of texts that only we can make. */
export interface Vault {
  /** AES-256-GCM; `context` must be the same to open it again, so that sealed values cannot change places. */
  seal(plain: Buffer, context: string): Buffer
  /** Throws an Error that says what to do where the master key is another one. */
  open(sealed: Buffer, context: string): Buffer
  readonly refreshKeys: readonly TextKey[]
  readonly sessionCookieKeys: readonly TextKey[]
  /** From which the keys follow that Django clients ask for again. */
  readonly authtokenSecret: Buffer
  /** From which the nonces of DPoP follow. */
  readonly dpopNonceSecret: Buffer
  /** Shuffles the places of sessions in the status lists. */
  readonly statusListKey: Buffer
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly vault: Vault
  }
}

const version = 1
const nonceLength = 12
const tagLength = 16

function derive(master: Buffer, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', master, Buffer.alloc(0), `keyturn ${purpose}`, 32))
}

/** Makes a vault of a master key of 32 bytes. */
function makeVault(master: Buffer): Vault {
  const sealing = derive(master, 'sealing')
  const keyId = createHash('sha256').update('keyturn sealing key id').update(sealing).digest().subarray(0, 4)
  return {
    seal(plain, context) {
      const nonce = randomBytes(nonceLength)
      const cipher = createCipheriv('aes-256-gcm', sealing, nonce, { authTagLength: tagLength }).setAAD(
        Buffer.from(context)
      )
      const sealed = Buffer.concat([cipher.update(plain), cipher.final()])
      return Buffer.concat([Buffer.from([version]), keyId, nonce, sealed, cipher.getAuthTag()])
    },
    open(sealed, context) {
      if (sealed[0] !== version || !sealed.subarray(1, 5).equals(keyId)) {
        throw new Error(
          'The signing keys in this database are sealed under another master key. ' +
            'Set AUTH_MASTER_KEY (or AUTH_MASTER_KEY_FILE) to the one they were made with.'
        )
      }
      const nonce = sealed.subarray(5, 5 + nonceLength)
      const decipher = createDecipheriv('aes-256-gcm', sealing, nonce, { authTagLength: tagLength })
        .setAAD(Buffer.from(context))
        .setAuthTag(sealed.subarray(-tagLength))
      return Buffer.concat([decipher.update(sealed.subarray(5 + nonceLength, -tagLength)), decipher.final()])
    },
    refreshKeys: [textKey(derive(master, 'refresh token'))],
    sessionCookieKeys: [textKey(derive(master, 'session cookie'))],
    authtokenSecret: derive(master, 'authtoken'),
    dpopNonceSecret: derive(master, 'dpop nonce'),
    statusListKey: derive(master, 'status list')
  }
}

export const vault = fp<{ masterKey: Buffer }>(
  async (app, { masterKey }) => {
    app.decorate('vault', makeVault(masterKey))
  },
  { name: 'vault', fastify: '5.x' }
)
