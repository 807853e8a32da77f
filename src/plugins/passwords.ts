import { randomBytes } from 'node:crypto'
import fp from 'fastify-plugin'
import { isOwnPassword, parseLegacyPassword } from '../domain/legacy-password.js'
import { normalizePassword } from '../domain/password-policy.js'
import { applyPepper, type Pepper, pepperPrefix, readPeppered } from '../domain/pepper.js'
import { Refusal } from '../domain/refusal.js'
import type { PasswordHasher } from '../flows/flow.js'
import { type HashJob, HashQueue, type HashQueueOptions } from '../hashing/queue.js'
import { traced } from './tracing.js'

declare module 'fastify' {
  interface FastifyInstance {
    readonly passwords: PasswordHasher
    /** How many passwords wait to be hashed or checked. */
    waitingPasswords(): number
    /** The `overloaded` that whoever came with a password now would get; null where there is a place. */
    whyNoPasswordRoom(): Refusal | null
  }
}

export interface PasswordsOptions extends HashQueueOptions {
  /** KiB (argon2id m). */
  readonly memory: number
  /** Whether the hash of nobody's password is made with the start; with the first name that nobody has where it is left out. */
  readonly isAhead?: boolean
  /** With which new hashes are made, and all with which hashes may have been made. */
  readonly peppers: { readonly current: Pepper | null; readonly known: readonly Pepper[] }
  /** Passes (argon2id t). */
  readonly iterations: number
  /** Worker threads for passwords of other systems, which may cost far more than ours: 100 MiB for Django's argon2. */
  readonly legacyConcurrency: number
}

const argon2id = 2

/**
 * Passwords to PHC strings and back, argon2id with one lane (OWASP Password Storage Cheat Sheet); strings of other
 * systems are checked too, and are never made.
 */
export const passwords = fp<PasswordsOptions>(
  async (app, options) => {
    const queue = new HashQueue(options)
    const parameters = {
      algorithm: argon2id,
      memoryCost: options.memory,
      timeCost: options.iterations,
      parallelism: 1
    }
    const { current: pepper, known } = options.peppers
    const run = (on: HashQueue, job: HashJob) =>
      traced(app.tracing, { name: `password ${job.kind}`, kind: 'internal', attributes: {} }, (tell) =>
        on.run(job, (waited) => tell({ 'keyturn.password.waited_ms': Math.round(waited * 10) / 10 }))
      )
    const prefix = pepper === null ? '' : pepperPrefix(pepper)
    const current = `${prefix}$argon2id$v=19$m=${options.memory},t=${options.iterations},p=1$`
    const seasoned = (password: string, by: Pepper | null) =>
      by === null ? normalizePassword(password) : applyPepper(by, normalizePassword(password))

    async function hash(password: string): Promise<string> {
      const made = await run(queue, { kind: 'hash', password: seasoned(password, pepper), options: parameters })
      return `${prefix}${made}`
    }
    async function verifyOwn(stored: string, password: string): Promise<boolean> {
      const peppered = readPeppered(stored)
      const by = peppered === null ? null : known.find(({ id }) => id === peppered.id)
      if (peppered !== null && by === undefined) {
        app.log.error(
          { pepper: peppered.id },
          'a stored password needs a pepper that is not here: name it in AUTH_PASSWORD_PEPPER_PREVIOUS'
        )
        throw new Refusal('service_unavailable', { because: `pepper ${peppered.id} is not here`, retryAfter: 60 })
      }
      const job = { kind: 'verify', password: seasoned(password, by ?? null), hash: peppered?.hash ?? stored } as const
      return (await run(queue, job)) as boolean
    }

    // A queue of their own: sign-ins with hashes of other systems cannot starve the rest.
    let legacyQueue: HashQueue | undefined
    const verifyLegacy = async (stored: string, password: string) => {
      const { check, scheme } = parseLegacyPassword(stored)
      if (check === null) {
        app.log.warn({ scheme }, 'a stored password has a form that cannot be checked')
        return await verifyNothing(password)
      }
      // Half of the places at most: while these wait they keep those by which they were let in.
      const maxWaiting = Math.ceil(options.maxWaiting / 2)
      legacyQueue ??= new HashQueue({ ...options, maxWaiting, concurrency: options.legacyConcurrency })
      try {
        return (await run(legacyQueue, { kind: 'verify-legacy', password, check })) as boolean
      } catch (error) {
        if (error instanceof Refusal) throw error
        // A string that the library cannot read is a password that nobody has: an error would tell that there is one.
        app.log.warn({ scheme, error: (error as Error).message }, 'a stored password could not be checked')
        return await verifyNothing(password)
      }
    }
    const verify = (stored: string, password: string) =>
      isOwnPassword(stored) ? verifyOwn(stored, password) : verifyLegacy(stored, password)

    // Nobody has this password: an account that is not there is checked against it, for the same work.
    let nobodys: Promise<string> | undefined
    const hashOfNobody = () => {
      nobodys ??= hash(randomBytes(32).toString('base64url')).catch((error) => {
        // The next one tries again: with the error kept, a name that nobody has would be told from the others for ever.
        nobodys = undefined
        throw error
      })
      return nobodys
    }
    const verifyNothing = async (password: string) => {
      await verify(await hashOfNobody(), password)
      return false as const
    }
    // Made by the time somebody signs in; a start waits for no hash.
    if (options.isAhead) {
      app.addHook('onReady', async () => {
        hashOfNobody().catch((error) => app.log.warn({ error: error.message }, 'a hash could not be made'))
      })
    }

    app.decorate('waitingPasswords', () => queue.waiting + (legacyQueue?.waiting ?? 0))
    app.decorate('whyNoPasswordRoom', () => queue.whyFull())
    app.decorate('passwords', {
      admit: (work) => queue.admit(work),
      hash,
      verify,
      verifyNothing,
      needsRehash: (stored) => !stored.startsWith(current)
    })
    app.addHook('onClose', async () => {
      await Promise.all([queue.close(), legacyQueue?.close()])
    })
  },
  { name: 'passwords', dependencies: ['tracing'], fastify: '5.x' }
)
