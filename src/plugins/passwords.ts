import { randomBytes } from 'node:crypto'
import fp from 'fastify-plugin'
import { normalizePassword } from '../domain/password-policy.js'
import type { PasswordHasher } from '../flows/flow.js'
import { HashQueue, type HashQueueOptions } from '../hashing/queue.js'

declare module 'fastify' {
  interface FastifyInstance {
    readonly passwords: PasswordHasher
  }
}

export interface PasswordsOptions extends HashQueueOptions {
  /** KiB (argon2id m). */
  readonly memory: number
  /** Passes (argon2id t). */
  readonly iterations: number
}

const argon2id = 2

/** Passwords to PHC strings and back, argon2id with one lane (OWASP Password Storage Cheat Sheet). */
export const passwords = fp<PasswordsOptions>(
  async (app, options) => {
    const queue = new HashQueue(options)
    const parameters = {
      algorithm: argon2id,
      memoryCost: options.memory,
      timeCost: options.iterations,
      parallelism: 1
    }
    const current = `$argon2id$v=19$m=${options.memory},t=${options.iterations},p=1$`

    const hash = (password: string) =>
      queue.run({ kind: 'hash', password: normalizePassword(password), options: parameters }) as Promise<string>
    const verify = (stored: string, password: string) =>
      queue.run({ kind: 'verify', password: normalizePassword(password), hash: stored }) as Promise<boolean>

    // Nobody has this password: an account that is not there is checked against it, for the same work.
    let nobodys: Promise<string> | undefined
    const hashOfNobody = () => {
      nobodys ??= hash(randomBytes(32).toString('base64url'))
      return nobodys
    }
    app.addHook('onReady', async () => {
      await hashOfNobody()
    })

    app.decorate('passwords', {
      hash,
      verify,
      async verifyNothing(password) {
        await verify(await hashOfNobody(), password)
        return false
      },
      needsRehash: (stored) => !stored.startsWith(current)
    })
    app.addHook('onClose', () => queue.close())
  },
  { name: 'passwords', fastify: '5.x' }
)
