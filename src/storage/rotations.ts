import { type RawBuilder, sql } from 'kysely'
import type { RefreshTransport } from '../domain/session.js'
import { groupCommit } from './group-commit.js'
import { prepared } from './prepared.js'
import { type LiveRow, type LiveSession, live, toLiveSession } from './sessions.js'
import type { Db } from './tables.js'

/** What one refresh asks for. */
export interface Rotation {
  readonly sessionId: string
  readonly generation: number
  readonly transport: RefreshTransport
  /** The key that the request has proven to hold (DPoP); null for none. */
  readonly jkt: string | null
  /** The client that it must belong to; whichever it is where it is left out. */
  readonly clientId?: string | undefined
  /** Scopes that it must have been granted, with spaces between. */
  readonly scope?: string | undefined
  readonly idleExpiresAt: Date
  readonly now: Date
}

/** What a rotation sets, and what must hold for it; `presented` names the values that came. */
const rotating = (presented: {
  /** How the session's row is found. */
  readonly row: RawBuilder<unknown>
  readonly generation: RawBuilder<unknown>
  readonly transport: RawBuilder<unknown>
  readonly jkt: RawBuilder<unknown>
  readonly clientId: RawBuilder<unknown>
  readonly scope: RawBuilder<unknown>
  readonly idleExpiresAt: RawBuilder<unknown>
  readonly now: RawBuilder<unknown>
}) => ({
  // greatest: a replica whose clock is behind must not fail, nor move the session's past.
  set: sql`
    set generation = ${presented.generation} + 1,
      rotated_at = greatest(s.rotated_at, ${presented.now}::timestamptz),
      idle_expires_at = least(s.expires_at, ${presented.idleExpiresAt}::timestamptz)`,
  where: sql`
    where ${presented.row}
      and s.generation <= ${presented.generation}
      and s.transport = ${presented.transport}
      and (s.dpop_jkt is null or s.dpop_jkt = ${presented.jkt})
      and (${presented.clientId} is null or s.client_id = ${presented.clientId})
      and (${presented.scope} is null
        or string_to_array(s.scope, ' ') @> string_to_array(${presented.scope}, ' '))
      and s.ended_at is null
      and s.expires_at > ${presented.now}::timestamptz
      and s.idle_expires_at > ${presented.now}::timestamptz
      and a.disabled_at is null`
})

const rotateOne = prepared<Rotation, LiveRow>((value) => {
  const { set, where } = rotating({
    row: sql`s.id = ${value(({ sessionId }) => sessionId)}::uuid and a.id = s.account_id`,
    generation: sql`${value(({ generation }) => generation)}::bigint`,
    transport: value(({ transport }) => transport),
    jkt: sql`${value(({ jkt }) => jkt)}::text`,
    clientId: sql`${value(({ clientId = null }) => clientId)}::text`,
    scope: sql`${value(({ scope = null }) => scope)}::text`,
    idleExpiresAt: value(({ idleExpiresAt }) => idleExpiresAt),
    now: value(({ now }) => now)
  })
  return sql`update session as s ${set} from account as a ${where} returning ${live}`
})

/**
 * Rotates: one statement, one row by its primary key, one winner. Of several that present one generation the row lock
 * lets the first through; for the others the condition on the generation no longer holds. Undefined where the
 * presented generation is not current, the session is bound to another key than the one that was proven, or the session
 * or its account is over; `sessions.findHeld` then says which.
 */
export async function rotate(db: Db, rotation: Rotation): Promise<LiveSession | undefined> {
  const [row] = await rotateOne(db, rotation)
  return row && toLiveSession(row)
}

const ids = (rotations: readonly Rotation[]) => rotations.map(({ sessionId }) => sessionId)

const rotateSeveral = prepared<readonly Rotation[], LiveRow>((value) => {
  const { set, where } = rotating({
    row: sql`s.ctid = free.place`,
    generation: sql`p.generation`,
    transport: sql`p.transport`,
    jkt: sql`p.jkt`,
    clientId: sql`p.client_id`,
    scope: sql`p.scope`,
    idleExpiresAt: value((rotations) => rotations.at(-1)!.idleExpiresAt),
    now: value((rotations) => rotations.at(-1)!.now)
  })
  // The account is found by what was locked: found by its session's row, planners that know nothing yet of how large
  // the tables are begin with every account and look through the sessions of each.
  return sql`
    with free as (
      select id, account_id, ctid as place from session where id = any (${value(ids)}::uuid[]) for update skip locked
    )
    update session as s ${set}
    from
      free
      join unnest(
        ${value(ids)}::uuid[],
        ${value((rotations) => rotations.map(({ generation }) => generation))}::bigint[],
        ${value((rotations) => rotations.map(({ transport }) => transport))}::text[],
        ${value((rotations) => rotations.map(({ jkt }) => jkt))}::text[],
        ${value((rotations) => rotations.map(({ clientId = null }) => clientId))}::text[],
        ${value((rotations) => rotations.map(({ scope = null }) => scope))}::text[]
      ) as p (session_id, generation, transport, jkt, client_id, scope) on p.session_id = free.id
      join account as a on a.id = free.account_id
    ${where}
    returning ${live}`
})

/**
 * Rotates several sessions, each named once, by one statement and so by one commit; the ones that did. A row that
 * somebody has locked is passed over: it must not make the others wait, and two such statements never wait for each
 * other. Whoever is missing among the answers is to be rotated alone.
 *
 * A row that was locked is found again by its place (`ctid`), not by its key. A version of it that is newer than this
 * statement's snapshot is not seen there, and its session is then one that is missing.
 */
export async function rotateMany(db: Db, rotations: readonly Rotation[]): Promise<LiveSession[]> {
  return (await rotateSeveral(db, rotations)).map(toLiveSession)
}

/** Rotates as `rotate` does; those that come at once share statements. */
export const makeRotator = (db: Db): ((rotation: Rotation) => Promise<LiveSession | undefined>) =>
  groupCommit<Rotation, LiveSession | undefined>({
    maxInFlight: 2,
    maxItems: 64,
    keyOf: ({ sessionId }) => sessionId,
    alone: (rotation) => rotate(db, rotation),
    together: async (rotations) => new Map((await rotateMany(db, rotations)).map((one) => [one.session.id, one]))
  })
