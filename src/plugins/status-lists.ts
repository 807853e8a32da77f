import { createHash } from 'node:crypto'
import fp from 'fastify-plugin'
import { listSize, type StatusListClaims, type StatusReference, statusListType } from '../domain/status-list.js'
import { encodeStatusList, StatusPlaces } from '../domain/status-places.js'
import * as statusEntries from '../storage/status-entries.js'

/** A list as it is served. */
export interface ServedStatusList {
  readonly text: string
  readonly etag: string
  /** Seconds for which it may be kept. */
  readonly ttl: number
}

export interface StatusLists {
  /** Whether sessions get a place at all. */
  readonly isOn: boolean
  /** The claim that names a session's place; undefined where it has none. */
  reference(index: number | null): StatusReference | undefined
  /** A list by its number; undefined where there is none. */
  read(id: string): Promise<ServedStatusList | undefined>
  /** The addresses of all lists. */
  list(): Promise<readonly string[]>
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly statusLists: StatusLists
  }
}

export interface StatusListsOptions {
  readonly on: boolean
  readonly issuer: string
  /** Seconds for which a list may be kept: as late as that a service may learn of an end. */
  readonly ttl: number
  /** Milliseconds between two looks at the database, however often somebody asks. */
  readonly interval: number
  readonly clock: () => Date
}

/** How many times longer than it may be kept a list is valid, for those who cannot reach this service. */
const validFor = 10

/** The status lists, made out of the database when somebody asks and something has ended since. */
export const statusLists = fp<StatusListsOptions>(
  async (app, { on, issuer, ttl, interval, clock }) => {
    const places = new StatusPlaces(app.sealedValues.statusListSecret)
    const uriOf = (list: number) => `${issuer}/v1/status-lists/${list}`

    interface Snapshot {
      readonly cursor: string
      readonly lookedAt: number
      readonly ended: ReadonlyMap<number, readonly number[]>
      readonly first: number
      readonly last: number
    }
    let snapshot: Snapshot | undefined
    let looking: Promise<Snapshot> | undefined
    let served = new Map<number, { list: Promise<ServedStatusList>; signedAt: number }>()

    async function look(): Promise<Snapshot> {
      const lookedAt = performance.now()
      // Before the database is: what ends in between is then looked for once more.
      const cursor = app.revocations.cursor()
      const { ended, range } = await statusEntries.read(app.db, clock())
      const byList = new Map<number, number[]>()
      for (const index of ended) {
        const { list, idx } = places.of(index)
        const known = byList.get(list)
        if (known === undefined) byList.set(list, [idx])
        else known.push(idx)
      }
      const listOf = (index: number) => Math.floor(index / listSize)
      served = new Map()
      snapshot = {
        cursor,
        lookedAt,
        ended: byList,
        first: range === null ? 0 : listOf(range.first),
        last: range === null ? -1 : listOf(range.last)
      }
      return snapshot
    }

    /** What is known, looked up anew where something has ended or where `isEnough` says no. */
    async function current(isEnough: (known: Snapshot) => boolean): Promise<Snapshot> {
      const known = snapshot
      const isFresh = known !== undefined && performance.now() - known.lookedAt < interval
      if (known !== undefined && (isFresh || (known.cursor === app.revocations.cursor() && isEnough(known)))) {
        return known
      }
      looking ??= look().finally(() => {
        looking = undefined
      })
      return await looking
    }

    async function make(list: number, ended: readonly number[], now: Date): Promise<ServedStatusList> {
      const iat = Math.floor(now.getTime() / 1000)
      const claims: StatusListClaims = {
        iss: issuer,
        sub: uriOf(list),
        iat,
        exp: iat + ttl * validFor,
        ttl,
        status_list: encodeStatusList(ended)
      }
      const text = await app.keys.signing().signAs(statusListType, claims)
      return { text, etag: `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`, ttl }
    }

    const has = (id: number) => (known: Snapshot) => id >= known.first && id <= known.last

    app.decorate('statusLists', {
      isOn: on,
      reference(index) {
        if (!on || index === null) return undefined
        const { list, idx } = places.of(index)
        return { status_list: { idx, uri: uriOf(list) } }
      },
      async read(id) {
        if (!on || !/^(0|[1-9]\d{0,9})$/.test(id)) return undefined
        const list = Number(id)
        const known = await current(has(list))
        if (!has(list)(known)) return undefined
        const now = clock()
        const kept = served.get(list)
        if (kept !== undefined && Math.abs(now.getTime() - kept.signedAt) < (ttl * 1000) / 2) return await kept.list
        const made = make(list, known.ended.get(list) ?? [], now)
        served.set(list, { list: made, signedAt: now.getTime() })
        return await made
      },
      async list() {
        if (!on) return []
        const { first, last } = await current(() => false)
        return Array.from({ length: last - first + 1 }, (_, at) => uriOf(first + at))
      }
    } satisfies StatusLists)
  },
  { name: 'status-lists', dependencies: ['database', 'sealed-values', 'keys', 'revocations'], fastify: '5.x' }
)
