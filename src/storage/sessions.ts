import { sql } from 'kysely'
import type { HeldSession } from '../domain/rotation.js'
import type { RefreshTransport } from '../domain/session.js'
import { type Account, type AccountRow, toAccount } from './accounts.js'
import { type Grants, type GrantsRow, grants, toGrants } from './grants.js'
import { prepared } from './prepared.js'
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

interface Beginning {
  readonly session: NewSession
  readonly passwordHash: string | null
}

const insertSession = prepared<Beginning, { is_familiar: boolean }>((value) => {
  const of = (pick: (session: NewSession) => unknown) => value(({ session }) => pick(session))
  const createdAt = sql`${of((session) => session.createdAt)}::timestamptz`
  return sql`
    with a as (
      update account set last_login_at = ${createdAt}
      where id = ${of((session) => session.accountId)}
        and disabled_at is null
        and password_hash is not distinct from ${value(({ passwordHash }) => passwordHash)}
      returning id
    )
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
    returning exists (
      select from session as earlier
      where earlier.account_id = session.account_id
        and earlier.address is not distinct from session.address
        and earlier.user_agent is not distinct from session.user_agent
    ) as is_familiar`
})

/**
 * Begins a session where the account is still enabled and still has the password hash that was checked: between that
 * check and this statement both may have changed. Undefined where they have.
 */
export async function begin(
  db: Db,
  session: NewSession,
  passwordHash: string | null
): Promise<BegunSession | undefined> {
  const [row] = await insertSession(db, { session, passwordHash })
  if (row === undefined) return undefined
  // Read by a statement of its own: the one above may have waited for a change of the account, and would show the
  // account after that change beside the revocations before it.
  const found = await findHeld(db, session.id)
  // What ended it between the two statements is among the revocations that its tokens would say they were issued after,
  // and nothing would end them any more.
  if (found === undefined || found.held.endedBecause !== null || found.held.accountDisabled) return undefined
  return { ...found, isFamiliar: row.is_familiar }
}

const selectHeld = prepared<string, LiveRow & { rotated_at: Date; ended_because: string | null }>(
  (value) => sql`
    select ${live}, s.rotated_at, s.ended_because
    from session as s
    join account as a on a.id = s.account_id
    where s.id = ${value((id) => id)}`
)

/** A session as it is now, for the judgement of a token that could not rotate. */
export async function findHeld(db: Db, id: string): Promise<(LiveSession & { held: HeldSession }) | undefined> {
  const [row] = await selectHeld(db, id)
  return (
    row && {
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
  )
}

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
