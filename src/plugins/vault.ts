import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'
import fp from 'fastify-plugin'
import { type TextKey, textKey } from '../domain/signed-text.js'

/**
 * What follows from the master key: seals for what lies in the database, and the keys of texts that only we can make.
 * Master keys of before, or of what is to come, open and authenticate; the present one alone seals and signs.
 */
export interface Vault {
  /** AES-256-GCM; `context` must be the same to open it again, so that sealed values cannot change places. */
  seal(plain: Buffer, context: string): Buffer
  /** Throws an Error that says what to do where no master key is the one it was sealed under. */
  open(sealed: Buffer, context: string): Buffer
  /** Whether the present master key sealed it. */
  isCurrent(sealed: Buffer): boolean
  /** Texts are made with the first, and accepted by all. */
  readonly refreshKeys: readonly TextKey[]
  readonly sessionCookieKeys: readonly TextKey[]
  readonly deviceCookieKeys: readonly TextKey[]
  /** From which the nonces of DPoP follow; given out by the first, and accepted by all. */
  readonly dpopNonceSecrets: readonly [Buffer, ...Buffer[]]
  /** With which those are digested whom limits are counted for. */
  readonly rateLimitSecret: Buffer
  /** The secret of authtokens as it followed from the master key that sealed a value; without one, from the present. */
  authtokenSecretOf(sealed: Buffer | undefined): Buffer
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

interface SealingKey {
  readonly id: Buffer
  readonly secret: Buffer
  readonly master: Buffer
}

function sealingKey(master: Buffer): SealingKey {
  const secret = derive(master, 'sealing')
  const id = createHash('sha256').update('keyturn sealing key id').update(secret).digest().subarray(0, 4)
  return { id, secret, master }
}

/** Makes a vault of master keys of 32 bytes each, the present one first. */
function makeVault(masters: readonly [Buffer, ...Buffer[]]): Vault {
  const sealing = masters.map(sealingKey)
  const current = sealing[0]!
  const sealedBy = (sealed: Buffer) =>
    sealed[0] === version ? sealing.find(({ id }) => id.equals(sealed.subarray(1, 5))) : undefined
  return {
    seal(plain, context) {
      const nonce = randomBytes(nonceLength)
      const cipher = createCipheriv('aes-256-gcm', current.secret, nonce, { authTagLength: tagLength }).setAAD(
        Buffer.from(context)
      )
      const sealed = Buffer.concat([cipher.update(plain), cipher.final()])
      return Buffer.concat([Buffer.from([version]), current.id, nonce, sealed, cipher.getAuthTag()])
    },
    open(sealed, context) {
      const key = sealedBy(sealed)
      if (key === undefined) {
        throw new Error(
          'The signing keys in this database are sealed under another master key. ' +
            'Set AUTH_MASTER_KEY (or AUTH_MASTER_KEY_FILE) to the one they were made with, or name that one in AUTH_MASTER_KEY_PREVIOUS.'
        )
      }
      const nonce = sealed.subarray(5, 5 + nonceLength)
      const decipher = createDecipheriv('aes-256-gcm', key.secret, nonce, { authTagLength: tagLength })
        .setAAD(Buffer.from(context))
        .setAuthTag(sealed.subarray(-tagLength))
      return Buffer.concat([decipher.update(sealed.subarray(5 + nonceLength, -tagLength)), decipher.final()])
    },
    dpopNonceSecrets: [derive(masters[0], 'dpop nonce'), ...masters.slice(1).map((one) => derive(one, 'dpop nonce'))],
    rateLimitSecret: derive(masters[0], 'rate limit'),
    isCurrent: (sealed) => sealedBy(sealed) === current,
    refreshKeys: masters.map((master) => textKey(derive(master, 'refresh token'))),
    deviceCookieKeys: masters.map((master) => textKey(derive(master, 'device cookie'))),
    sessionCookieKeys: masters.map((master) => textKey(derive(master, 'session cookie'))),
    authtokenSecretOf: (sealed) => derive(((sealed && sealedBy(sealed)) ?? current).master, 'authtoken')
  }
}

export interface VaultOptions {
  readonly masterKey: Buffer
  readonly previousMasterKeys: readonly Buffer[]
}

export const vault = fp<VaultOptions>(
  async (app, { masterKey, previousMasterKeys }) => {
    app.decorate('vault', makeVault([masterKey, ...previousMasterKeys]))
  },
  { name: 'vault', fastify: '5.x' }
)
