import fp from 'fastify-plugin'
import {
  isAlive,
  type KeyState,
  keyStates,
  planScheduledRotation,
  type RotationTimes,
  type SigningAlgorithm,
  signingKey
} from '../domain/key-ring.js'
import { Refusal } from '../domain/refusal.js'
import * as changes from '../flows/signing-keys.js'
import * as signingKeys from '../storage/signing-keys.js'
import { freshRead } from './fresh-read.js'
import { createKey, type KeyProviders, sealedHalf, signerOf } from './key-keepers.js'
import { type KeyMaterial, makeEngine, type TokenEngine } from './token-engine.js'

/** A key of the ring, ready for use. */
export interface RingKey extends TokenEngine, Omit<signingKeys.StoredSigningKey, 'algorithm'> {
  readonly algorithm: SigningAlgorithm
  /** Why this replica cannot sign with it: it is sealed under a master key, or kept by a provider, of others. */
  readonly closedBecause: string | undefined
}

export interface Keys {
  /** The key whose turn it is. Throws where there is none, which a start makes sure of. */
  signing(): RingKey
  /** A key that may still verify; undefined for one that is gone or was never ours. */
  find(kid: string): RingKey | undefined
  /** Looks into the database for a key that was made meanwhile, at most once per `lookupInterval`. */
  findFresh(kid: string): Promise<RingKey | undefined>
  /** Every key that is published, oldest turn first, as far as this replica has read. */
  published(): readonly RingKey[]
  /**
   * The same, read from the database at this moment: no replica can have signed with a key that is not among them.
   * Where the database does not answer soon, what was read last.
   */
  publishedNow(): Promise<readonly RingKey[]>
  states(): ReadonlyMap<string, KeyState>
  /** Makes the next key; it signs once every verifier can know it. Where there is a next one already, that one. */
  rotate(): Promise<RingKey>
  /** Ends every key and every token that was issued, and signs with a new key from now on. */
  rotateInEmergency(because: string): Promise<{ readonly key: RingKey; readonly revoked: readonly string[] }>
  /** Ends one key that waits for its turn or retires. */
  revoke(kid: string, because: string): Promise<changes.RevokeVerdict>
  /** Makes a key of elsewhere the next one. */
  add(key: KeyMaterial): Promise<changes.AddVerdict>
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly keys: Keys
  }
}

export interface KeysOptions {
  readonly algorithm: SigningAlgorithm
  readonly times: RotationTimes
  /** Milliseconds from one key's turn to the next; null where only commands rotate. */
  readonly rotationInterval: number | null
  /** Who keeps new keys: `local`, or one of `providers`. */
  readonly provider: string
  readonly providers: KeyProviders
  /** Milliseconds between two looks at the database. */
  readonly pollInterval: number
  /** Milliseconds between two looks that an unknown key id may cause. */
  readonly lookupInterval: number
  readonly revocationLifetime: number
  readonly clock: () => Date
}

/** Milliseconds that whoever asks for the key set waits for the database. */
const publishWait = 250
/** Milliseconds before a rotation that failed is tried again: each try may cost a key at a provider. */
const retryAfter = 10_000
/** Milliseconds for which a key that is gone is kept at hand, for a clock that steps back. */
const goneSlack = 24 * 3_600_000

function isResealed(known: signingKeys.StoredSigningKey, stored: signingKeys.StoredSigningKey): boolean {
  const [one, other] = [known.privateHalf, stored.privateHalf]
  return 'sealed' in one && 'sealed' in other && !one.sealed.equals(other.sealed)
}

/** The ring of signing keys: in memory what the database says, on every replica. */
export const keys = fp<KeysOptions>(
  async (app, options) => {
    const ring = new Map<string, RingKey>()
    let lookedAt = Number.NEGATIVE_INFINITY
    let failedAt = Number.NEGATIVE_INFINITY

    const tools: changes.KeyTools = {
      db: app.db,
      clock: options.clock,
      makeKey: () => createKey(app.vault, options.providers, options),
      isKeptElsewhere: options.provider !== 'local',
      caller: app.audit.caller,
      audit: app.audit,
      log: (event, fields) => app.log.info({ event, ...fields }, event),
      settings: {
        times: options.times,
        interval: options.rotationInterval,
        revocationLifetime: options.revocationLifetime
      }
    }

    const all = () => [...ring.values()]
    const alive = () => all().filter((key) => isAlive(key, options.clock()))

    async function prepare(stored: signingKeys.StoredSigningKey): Promise<RingKey> {
      const key = { ...stored, algorithm: stored.algorithm as SigningAlgorithm }
      let closedBecause: string | undefined
      let half: ReturnType<typeof signerOf>
      try {
        half = signerOf(app.vault, options.providers, key)
      } catch (error) {
        // Others verify and publish what they cannot sign with, and so does this replica.
        closedBecause = (error as Error).message
        app.log.warn({ kid: key.kid, error: closedBecause }, 'this replica cannot sign with a key')
        half = {
          sign() {
            throw new Refusal('service_unavailable', { because: closedBecause!, retryAfter: 1 })
          }
        }
      }
      return { ...key, ...(await makeEngine(key, half)), closedBecause }
    }

    async function load(): Promise<void> {
      const now = options.clock().getTime()
      const stored = (await signingKeys.list(app.db)).filter(
        ({ goneAt, revokedBecause }) =>
          revokedBecause === null && (goneAt === null || goneAt.getTime() > now - goneSlack)
      )
      const next = await Promise.all(
        stored.map(async (key) => {
          const known = ring.get(key.kid)
          if (known === undefined || (known.closedBecause !== undefined && isResealed(known, key)))
            return await prepare(key)
          return { ...known, signsFrom: key.signsFrom, goneAt: key.goneAt }
        })
      )
      ring.clear()
      for (const key of next) ring.set(key.kid, key)
    }

    const read = freshRead(load)
    const warn = (doing: string) => (error: Error) => app.log.warn({ error: error.message }, doing)
    const readOrWarn = () => read().catch(warn('signing keys could not be read'))

    /** Makes the key that is due. What memory says is enough to see that none is. */
    async function rotateWhenDue(): Promise<void> {
      if (planScheduledRotation(all(), options.times, options.rotationInterval, options.clock()) === null) return
      if (performance.now() - failedAt < retryAfter) return
      try {
        await changes.rotateWhenDue(tools)
        await read()
      } catch (error) {
        failedAt = performance.now()
        warn('the next signing key could not be made')(error as Error)
      }
    }

    app.decorate('keys', {
      signing() {
        const key = signingKey(all(), options.clock())
        if (key === undefined) throw new Error('there is no signing key')
        return key
      },
      find: (kid) => {
        const key = ring.get(kid)
        return key === undefined || !isAlive(key, options.clock()) ? undefined : key
      },
      async findFresh(kid) {
        const now = performance.now()
        if (now - lookedAt < options.lookupInterval) return undefined
        lookedAt = now
        await read()
        return this.find(kid)
      },
      published: alive,
      async publishedNow() {
        let timer: NodeJS.Timeout | undefined
        const late = new Promise<void>((resolve) => {
          timer = setTimeout(resolve, publishWait)
        })
        await Promise.race([readOrWarn(), late])
        clearTimeout(timer)
        return alive()
      },
      states: () => keyStates(all(), options.clock()),
      async rotate() {
        const kid = await changes.rotateAhead(tools)
        await read()
        return ring.get(kid)!
      },
      async rotateInEmergency(because) {
        const { kid, revoked } = await changes.rotateInEmergency(tools, because)
        await read()
        return { key: ring.get(kid)!, revoked }
      },
      async revoke(kid, because) {
        const verdict = await changes.revokeKey(tools, kid, because)
        await read()
        return verdict
      },
      async add({ privateKey, ...key }) {
        const verdict = await changes.addKey(tools, { ...key, privateHalf: sealedHalf(app.vault, key.kid, privateKey) })
        await read()
        return verdict
      }
    } satisfies Keys)

    await read()
    const newest = alive().at(-1)
    if (newest?.algorithm !== options.algorithm || newest.privateHalf.provider !== options.provider) {
      await changes.followSettings(tools, options)
      await read()
    }
    const statesAtStart = keyStates(all(), options.clock())
    // A start says what is wrong; a replica that is running goes on, verifies, and cannot sign.
    const closed = alive().find(
      ({ kid, closedBecause }) => closedBecause !== undefined && statesAtStart.get(kid) !== 'retiring'
    )
    if (closed !== undefined) throw new Error(closed.closedBecause)

    app.onNotification('keyturn_signing_key', readOrWarn)
    let timer: NodeJS.Timeout | undefined
    app.addHook('onReady', async () => {
      timer = setInterval(() => void readOrWarn().then(rotateWhenDue), options.pollInterval)
      timer.unref()
      await readOrWarn()
    })
    app.addHook('preClose', async () => clearInterval(timer))
  },
  { name: 'keys', dependencies: ['database', 'notifications', 'vault'], fastify: '5.x' }
)
