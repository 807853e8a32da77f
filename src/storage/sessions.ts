import { sql } from 'kysely'
import type { HeldSession } from '../domain/rotation.js'
import type { RefreshTransport } from '../domain/session.js'
import { type Account, type AccountRow, toAccount } from './accounts.js'
import { type Grants, type GrantsRow, grants, toGrants } from './grants.js'
import { prepared } from './prepared.js'
import { sharedReads } from './shared-reads.js'
import type { Db } from './tables.js'

export interface Session {
  readonly id: string
  readonly accountId: string
  readonly generation: number
  readonly transport: RefreshTransport
  readonly clientId: string
  readonly scope: string
  readonly amr: readonly string[]
  readonly acr: string
  /** The thumbprint of the key that the session is bound to; null where it is not. */
  readonly jkt: string | null
  readonly createdAt: Date
  readonly idleExpiresAt: Date
  readonly expiresAt: Date
  /** From which its place in the status lists follows; null where it has none. */
  readonly statusIndex: number | null
}

export interface NewSession extends Omit<Session, 'generation' | 'statusIndex'> {
  /** Whether it gets a place in a status list. */
  readonly hasStatus: boolean
  readonly userAgent: string | null
  readonly address: string | null
}

/** A session with the account that it speaks for, read in one statement. */
export interface LiveSession {
  readonly session: Session
  readonly account: Account
  readonly grants: Grants
}

export interface Device {
  readonly id: string
  readonly userAgent: string | null
  readonly address: string | null
  readonly createdAt: Date
  readonly lastUsedAt: Date
  readonly expiresAt: Date
}

export type LiveRow = AccountRow &
  GrantsRow & {
    session_id: string
    generation: string
    transport: RefreshTransport
    client_id: string
    scope: string
    amr: string[]
    acr: string
    dpop_jkt: string | null
    signed_in_at: Date
    idle_expires_at: Date
    expires_at: Date
    status_index: string | null
  }

/** Columns for a statement in which `s` is the session and `a` its account. */
export const live = sql`
  s.id as session_id, s.generation, s.transport, s.client_id, s.scope, s.amr, s.acr, s.dpop_jkt,
  s.created_at as signed_in_at, s.idle_expires_at, s.expires_at, s.status_index,
  a.id, a.username, a.email, a.email_verified_at, a.roles, a.permissions, a.external_id, a.disabled_at, a.created_at,
  a.last_login_at, ${grants}`

export function toLiveSession(row: LiveRow): LiveSession {
  return {
    session: {
      id: row.session_id,
      accountId: row.id,
      generation: Number(row.generation),
      transport: row.transport,
      clientId: row.client_id,
      scope: row.scope,
      amr: row.amr,
      acr: row.acr,
      jkt: row.dpop_jkt,
      createdAt: row.signed_in_at,
      idleExpiresAt: row.idle_expires_at,
      expiresAt: row.expires_at,
      statusIndex: row.status_index === null ? null : Number(row.status_index)
    },
    account: toAccount(row),
    grants: toGrants(row)
  }
}

/** A session that just began, and whether the account had one before from the same address by the same agent. */
export interface BegunSession extends LiveSession {
  readonly isFamiliar: boolean
}

/** What must hold for a session to begin. */
export interface Admission {
  /** The hash of the password that was right. */
  readonly passwordHash: string | null
  /** Whose failures a right password ends; null where none was looked at. */
  readonly guesser: string | null
}

interface Beginning extends Admission {
  readonly session: NewSession
}

const insertSession = prepared<Beginning, LiveRow & { is_familiar: boolean; is_overtaken: boolean }>((value) => {
  const of = (pick: (session: NewSession) => unknown) => value(({ session }) => pick(session))
  const createdAt = sql`${of((session) => session.createdAt)}::timestamptz`
  const guesser = sql`${value((beginning) => beginning.guesser)}::text`
  return sql`
    with waits as (
      select from password_guess where who = ${guesser} and retry_at > ${createdAt}
    ), forgotten as (
      delete from password_guess where who = ${guesser} and retry_at <= ${createdAt}
    ), a as (
      update account set last_login_at = ${createdAt}
      where id = ${of((session) => session.accountId)}
        and disabled_at is null
        and password_hash is not distinct from ${value(({ passwordHash }) => passwordHash)}
        and not exists (select from waits)
      returning *
    ), s as (
      insert into session
        (id, account_id, transport, client_id, scope, amr, acr, dpop_jkt, user_agent, address,
         created_at, rotated_at, idle_expires_at, expires_at, status_index)
      select ${of((session) => session.id)}::uuid, a.id, ${of((session) => session.transport)},
        ${of((session) => session.clientId)}, ${of((session) => session.scope)}, ${of((session) => session.amr)}::text[],
        ${of((session) => session.acr)}, ${of((session) => session.jkt)}, ${of((session) => session.userAgent)},
        ${of((session) => session.address)}::inet, ${createdAt}, ${createdAt},
        ${of((session) => session.idleExpiresAt)}::timestamptz, ${of((session) => session.expiresAt)}::timestamptz,
        case when ${of((session) => session.hasStatus)}::boolean then nextval('session_status_index') end
      from a
      returning *
    )
    select ${live},
      exists (
        select from session as earlier
        where earlier.account_id = s.account_id
          and earlier.address is not distinct from s.address
          and earlier.user_agent is not distinct from s.user_agent
      ) as is_familiar,
      (b.roles, b.permissions, b.username, b.email, b.email_verified_at)
        is distinct from (a.roles, a.permissions, a.username, a.email, a.email_verified_at) as is_overtaken
    from s join a on a.id = s.account_id join account as b on b.id = s.account_id`
})

/**
 * Begins a session where the account is still enabled, still has the password hash that was checked, and nobody failed
 * so often meanwhile that a guess would have to wait: between that check and this statement all of it may have changed.
 * Undefined where it has.
 */
export async function begin(db: Db, session: NewSession, admission: Admission): Promise<BegunSession | undefined> {
  const [row] = await insertSession(db, { session, ...admission })
  if (row === undefined) return undefined
  const isFamiliar = row.is_familiar
  if (!row.is_overtaken) return { ...toLiveSession(row), isFamiliar }
  // It waited for a change of the account, and shows the account after that change beside the revocations before it: what
  // it would be told of is over already. Read once more, by a statement that sees both.
  const found = await findHeld(db, session.id)
  // What ended it between the two statements is among the revocations that its tokens would say they were issued after,
  // and nothing would end them any more.
  if (found === undefined || found.held.endedBecause !== null || found.held.accountDisabled) return undefined
  return { ...found, isFamiliar }
}

export type FoundSession = LiveSession & { readonly held: HeldSession }

type HeldRow = LiveRow & { rotated_at: Date; ended_because: string | null }

const held = sql`
  select ${live}, s.rotated_at, s.ended_because
  from session as s
  join account as a on a.id = s.account_id`
const selectHeld = prepared<string, HeldRow>((value) => sql`${held} where s.id = ${value((id) => id)}`)
const selectAllHeld = prepared<readonly string[], HeldRow>(
  (value) => sql`${held} where s.id = any (${value((ids) => ids)}::uuid[])`
)

function toFound(row: HeldRow): FoundSession {
  return {
    ...toLiveSession(row),
    held: {
      generation: Number(row.generation),
      rotatedAt: row.rotated_at,
      idleExpiresAt: row.idle_expires_at,
      expiresAt: row.expires_at,
      endedBecause: row.ended_because,
      bound: row.transport === 'cookie' || row.dpop_jkt !== null,
      accountDisabled: row.disabled_at !== null
    }
  }
}

/** A session as it is now, for the judgement of a token that could not rotate. */
export async function findHeld(db: Db, id: string): Promise<FoundSession | undefined> {
  const [row] = await selectHeld(db, id)
  return row && toFound(row)
}

/** Reads sessions as `findHeld` does; those that are asked for at once share a statement. */
export const makeSessionReader = (db: Db): ((id: string) => Promise<FoundSession | undefined>) =>
  sharedReads({
    alone: (id) => findHeld(db, id),
    together: async (ids) => new Map((await selectAllHeld(db, ids)).map((row) => [row.session_id, toFound(row)]))
  })

/** Moves the idle end of a session that is in use, never past its absolute end. */
export async function extendIdle(db: Db, id: string, idleExpiresAt: Date): Promise<void> {
  await sql`
    update session
    set idle_expires_at = least(expires_at, greatest(idle_expires_at, ${idleExpiresAt}))
    where id = ${id} and ended_at is null`.execute(db)
}

/** The devices that are signed in, most recently used first. */
export async function listLive(db: Db, accountId: string, now: Date): Promise<Device[]> {
  const rows = await db
    .selectFrom('session')
    .select(['id', 'user_agent', 'address', 'created_at', 'rotated_at', 'expires_at'])
    .where('account_id', '=', accountId)
    .where('ended_at', 'is', null)
    .where('idle_expires_at', '>', now)
    .where('expires_at', '>', now)
    .orderBy('rotated_at', 'desc')
    .limit(200)
    .execute()
  return rows.map((row) => ({
    id: row.id,
    userAgent: row.user_agent,
    address: row.address,
    createdAt: row.created_at,
    lastUsedAt: row.rotated_at,
    expiresAt: row.expires_at
  }))
}
