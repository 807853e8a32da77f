import { sql } from 'kysely'
import { auditJson, type NewAuditEvent, noteEach, noteEnded } from './audit-events.js'
import { groupCommit } from './group-commit.js'
import { prepared } from './prepared.js'
import type { Session } from './sessions.js'
import type { Db, Trx } from './tables.js'

export type EndedBecause =
  | 'logout'
  | 'logout_all'
  | 'ended_by_owner'
  | 'ended_by_admin'
  | 'password_changed'
  | 'refresh_reused'
  | 'account_disabled'
  | 'session_limit'
  | 'revoked_by_client'

/** How an end is told to everybody: why, when, and for how long it has to be remembered. */
export interface Ending {
  readonly because: EndedBecause
  readonly at: Date
  /** When the last access token of the session has expired by itself. */
  readonly rememberedUntil: Date
  /** What the audit is told, in the same statement; null for nothing. */
  readonly audit: NewAuditEvent | null
}

/** The revocations of each session of the common table expression `ended`. */
const noteRevoked = (ending: Ending) => sql`noted as (
  insert into revocation (kind, subject, because, created_at, expires_at)
  select 'session', id::text, ${ending.because}, ${ending.at}::timestamptz, ${ending.rememberedUntil}::timestamptz
  from ended
)`

/** One session that is to end; where an account is given, only if it is that one's. */
export interface EndingOfOne {
  readonly id: string
  readonly accountId?: string | undefined
  readonly ending: Ending
}

/** The entry of the audit is about this session, whether or not its flow knows the account. */
const auditOf = (all: readonly EndingOfOne[]) =>
  all.flatMap(({ id, ending: { audit } }) => (audit === null ? [] : [{ ...audit, sessionId: id }]))

const endRow = prepared<EndingOfOne, { id: string }>((value) => {
  const owner = sql`${value(({ accountId = null }) => accountId)}::uuid`
  const because = sql`${value(({ ending }) => ending.because)}::text`
  const at = sql`${value(({ ending }) => ending.at)}::timestamptz`
  return sql`
    with ended as (
      update session
      set ended_at = ${at}, ended_because = ${because}
      where id = ${value(({ id }) => id)}
        and ended_at is null
        and (${owner} is null or account_id = ${owner})
      returning id, account_id
    ), ${noteEach(value((one) => auditJson(auditOf([one]))))}, noted as (
      insert into revocation (kind, subject, because, created_at, expires_at)
      select 'session', id::text, ${because}, ${at}, ${value(({ ending }) => ending.rememberedUntil)}::timestamptz
      from ended
    )
    select id from ended`
})

/** Ends one session; false where it was over already or, with an owner given, is not theirs. */
export async function end(db: Db, one: EndingOfOne): Promise<boolean> {
  return (await endRow(db, one)).length > 0
}

const ids = (all: readonly EndingOfOne[]) => all.map(({ id }) => id)

const endRows = prepared<readonly EndingOfOne[], { id: string }>(
  (value) => sql`
    with free as (
      select id, ctid as place from session where id = any (${value(ids)}::uuid[]) for update skip locked
    ), ended as (
      update session as s
      set ended_at = p.at, ended_because = p.because
      from
        free
        join unnest(
          ${value(ids)}::uuid[],
          ${value((all) => all.map(({ accountId = null }) => accountId))}::uuid[],
          ${value((all) => all.map(({ ending }) => ending.because))}::text[],
          ${value((all) => all.map(({ ending }) => ending.at))}::timestamptz[],
          ${value((all) => all.map(({ ending }) => ending.rememberedUntil))}::timestamptz[]
        ) as p (session_id, owner, because, at, remembered_until) on p.session_id = free.id
      where s.ctid = free.place and s.ended_at is null and (p.owner is null or p.owner = s.account_id)
      returning s.id, s.account_id, p.because, p.at, p.remembered_until
    ), ${noteEach(value((all) => auditJson(auditOf(all))))}, noted as (
      insert into revocation (kind, subject, because, created_at, expires_at)
      select 'session', id::text, because, at, remembered_until
      from ended
    )
    select id from ended`
)

/**
 * Ends several sessions, each named once, by one statement: one commit, and one turn of those who write revocations. The
 * ids of those that it ended; a row that somebody has locked is passed over, as it is by `rotations.rotateMany`.
 */
async function endMany(db: Db, all: readonly EndingOfOne[]): Promise<string[]> {
  return (await endRows(db, all)).map(({ id }) => id)
}

/**
 * Ends one session as `end` does; those that come at once share statements. One at a time: the next would only wait for
 * its turn to write revocations, and take fewer along.
 */
export const makeEnder = (db: Db): ((one: EndingOfOne) => Promise<boolean>) =>
  groupCommit<EndingOfOne, boolean>({
    maxInFlight: 1,
    maxItems: 64,
    keyOf: ({ id }) => id,
    alone: (one) => end(db, one),
    together: async (all) => new Map((await endMany(db, all)).map((id) => [id, true]))
  })

/** Ends all sessions of an account; the number of those that were alive. One entry tells of them all. */
export async function endAll(db: Db | Trx, accountId: string, ending: Ending): Promise<number> {
  const { rows } = await sql`
    with ended as (
      update session
      set ended_at = ${ending.at}, ended_because = ${ending.because}
      where account_id = ${accountId} and ended_at is null
      returning id, account_id
    ), ${noteEnded('session.ended_all', ending.audit)}, noted as (
      insert into revocation (kind, subject, because, created_at, expires_at)
      values ('account', ${accountId}, ${ending.because}, ${ending.at}, ${ending.rememberedUntil})
    )
    select id from ended`.execute(db)
  return rows.length
}

/**
 * Ends the oldest live sessions of an account beyond a number, never the newest; the number of those that it ended. In
 * the transaction that began the newest, whose lock on the account lets one sign-in at a time count.
 */
export async function endOldest(
  trx: Trx,
  newest: Pick<Session, 'id' | 'accountId'>,
  kept: number,
  ending: Ending
): Promise<number> {
  const { rows } = await sql`
    with oldest as (
      select id
      from session
      where account_id = ${newest.accountId}
        and ended_at is null
        and expires_at > ${ending.at}
        and idle_expires_at > ${ending.at}
      order by id = ${newest.id} desc, created_at desc, id
      offset ${kept}
    ), ended as (
      update session
      set ended_at = ${ending.at}, ended_because = ${ending.because}
      where id in (select id from oldest) and ended_at is null
      returning id, account_id
    ), ${noteEnded('session.ended_oldest', ending.audit)}, ${noteRevoked(ending)}
    select id from ended`.execute(trx)
  return rows.length
}

/**
 * Ends what an account's old password was good for: its sessions, and the keys that Django's clients get for a password.
 * The session or the key that is in use stays, with its access tokens. One statement: all rows are locked before the
 * writers of revocations are, as everywhere, so that nobody waits for each other.
 */
export async function endForNewPassword(
  db: Db | Trx,
  accountId: string,
  kept: { readonly sessionId: string | null; readonly tokenId: string | null },
  ending: Ending
): Promise<void> {
  await sql`
    with ended as (
      update session
      set ended_at = ${ending.at}, ended_because = ${ending.because}
      where account_id = ${accountId} and ended_at is null and id is distinct from ${kept.sessionId}::uuid
      returning id, account_id
    ), ${noteEnded('session.ended_all', ending.audit)}, removed as (
      delete from api_token
      where account_id = ${accountId}
        and kind in ('authtoken', 'knox')
        and id::text is distinct from ${kept.tokenId}
      returning id
    ), noted as (
      insert into revocation (kind, subject, because, created_at, expires_at)
      select kind, id::text, ${ending.because}, ${ending.at}::timestamptz, ${ending.rememberedUntil}::timestamptz
      from (select 'session' as kind, id from ended union all select 'api_token', id from removed) as over
    )
    select (select count(*) from ended) + (select count(*) from removed)`.execute(db)
}
