import fp from 'fastify-plugin'
import {
  type KeyState,
  keyStates,
  planRotation,
  type RotationTimes,
  type SigningAlgorithm,
  signingKey
} from '../domain/key-ring.js'
import * as signingKeys from '../storage/signing-keys.js'
import { exportPrivateKey, generateKey, importPrivateKey, makeEngine, type TokenEngine } from './token-engine.js'

/** A key of the ring, ready for use. */
export interface RingKey extends TokenEngine {
  readonly kid: string
  readonly algorithm: SigningAlgorithm
  readonly publicJwk: Readonly<Record<string, unknown>>
  readonly createdAt: Date
  readonly signsFrom: Date
  readonly goneAt: Date | null
}

export interface Keys {
  /** The key whose turn it is. Throws where there is none, which a start makes sure of. */
  signing(): RingKey
  /** A key that may still verify; undefined for one that is gone or was never ours. */
  find(kid: string): RingKey | undefined
  /** Looks into the database for a key that was made meanwhile, at most once per `lookupInterval`. */
  findFresh(kid: string): Promise<RingKey | undefined>
  /** Every key that is published, oldest turn first. */
  published(): readonly RingKey[]
  states(): ReadonlyMap<string, KeyState>
  /** Makes the next key; it signs once every verifier can know it. Where there is a next one already, that one. */
  rotate(): Promise<RingKey>
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly keys: Keys
  }
}

export interface KeysOptions {
  readonly algorithm: SigningAlgorithm
  readonly times: RotationTimes
  /** Milliseconds between two looks at the database. */
  readonly pollInterval: number
  /** Milliseconds between two looks that an unknown key id may cause. */
  readonly lookupInterval: number
  readonly clock: () => Date
}

/** The ring of signing keys: in memory what the database says, on every replica. */
export const keys = fp<KeysOptions>(
  async (app, options) => {
    const ring = new Map<string, RingKey>()
    let lookedAt = 0
    let reloading: Promise<void> | undefined

    const alive = () => {
      const now = options.clock()
      return [...ring.values()].filter(({ goneAt }) => goneAt === null || goneAt > now)
    }

    async function load(): Promise<void> {
      const stored = await signingKeys.list(app.db)
      for (const key of stored) {
        const known = ring.get(key.kid)
        if (known !== undefined && known.goneAt?.getTime() === key.goneAt?.getTime()) continue
        const algorithm = key.algorithm as SigningAlgorithm
        const privateKey = importPrivateKey(app.vault.open(key.sealedPrivateKey, key.kid))
        const engine = known ?? (await makeEngine({ kid: key.kid, algorithm, privateKey, publicJwk: key.publicJwk }))
        const { sealedPrivateKey: _, ...rest } = key
        const { sign, signAs, verify } = engine
        ring.set(key.kid, { ...rest, algorithm, sign, signAs, verify })
      }
      const kids = new Set(stored.map(({ kid }) => kid))
      for (const kid of ring.keys()) {
        if (!kids.has(kid)) ring.delete(kid)
      }
    }

    function reload(): Promise<void> {
      reloading ??= load().finally(() => {
        reloading = undefined
      })
      return reloading
    }

    /** Makes a key where `decide` says so. The lock lets one replica at a time look and make. */
    async function make(decide: (existing: signingKeys.StoredSigningKey[], now: Date) => 'now' | 'ahead' | null) {
      const now = options.clock()
      await app.db.transaction().execute(async (trx) => {
        await signingKeys.lock(trx)
        const turn = decide(await signingKeys.list(trx), now)
        if (turn === null) return
        const key = generateKey(options.algorithm)
        const plan = planRotation(options.times, now)
        await signingKeys.insert(trx, {
          kid: key.kid,
          algorithm: key.algorithm,
          publicJwk: key.publicJwk,
          sealedPrivateKey: app.vault.seal(exportPrivateKey(key.privateKey), key.kid),
          createdAt: now,
          signsFrom: turn === 'now' ? now : plan.signsFrom
        })
        if (turn === 'ahead') await signingKeys.retireOthers(trx, key.kid, plan.predecessorGoneAt)
        app.log.info({ event: 'key.created', kid: key.kid, turn }, 'signing key created')
      })
      await reload()
    }

    app.decorate('keys', {
      signing() {
        const key = signingKey([...ring.values()], options.clock())
        if (key === undefined) throw new Error('there is no signing key')
        return key
      },
      find: (kid) => {
        const key = ring.get(kid)
        return key === undefined || (key.goneAt !== null && key.goneAt <= options.clock()) ? undefined : key
      },
      async findFresh(kid) {
        const now = performance.now()
        if (now - lookedAt < options.lookupInterval) return undefined
        lookedAt = now
        await reload()
        return this.find(kid)
      },
      published: alive,
      states: () => keyStates([...ring.values()], options.clock()),
      async rotate() {
        await make((existing, now) => (existing.some(({ signsFrom }) => signsFrom > now) ? null : 'ahead'))
        return alive().at(-1)!
      }
    } satisfies Keys)

    await reload()
    if (signingKey([...ring.values()], options.clock()) === undefined) {
      await make((existing, now) => (signingKey(existing, now) === undefined ? 'now' : null))
    } else if (alive().at(-1)?.algorithm !== options.algorithm) {
      // Another algorithm was configured: its key joins the set, and takes its turn once verifiers know it.
      await make((existing) => (existing.at(-1)?.algorithm === options.algorithm ? null : 'ahead'))
    }

    const timer = setInterval(() => {
      reload().catch((error) => app.log.warn({ error: error.message }, 'signing keys could not be reloaded'))
    }, options.pollInterval)
    timer.unref()
    app.addHook('onClose', async () => clearInterval(timer))
  },
  { name: 'keys', dependencies: ['database', 'vault'], fastify: '5.x' }
)
