import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import t, { type Test } from 'tap'
import * as accounts from '../../src/storage/accounts.js'
import { end } from '../../src/storage/endings.js'
import { rotate } from '../../src/storage/rotations.js'
import * as sessions from '../../src/storage/sessions.js'
import type { Tables } from '../../src/storage/tables.js'
import { freshDatabase } from '../support/postgres.js'

interface Statement {
  readonly text: string
  readonly values: readonly unknown[]
}

const now = new Date('2030-01-01T12:00:00Z')
const later = new Date('2030-01-02T12:00:00Z')
const accountId = '018d0000-0000-7000-8000-00000000000a'
const sessionId = '018d0000-0000-4000-8000-00000000000b'
const ending = { because: 'logout', at: now, rememberedUntil: later, audit: null } as const

/** A session of an account, on a database that tells what it is sent. */
async function signedIn(t: Test) {
  const { url } = await freshDatabase(t)
  const sent: Statement[] = []
  const db = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: url, max: 1 }) }),
    log: ({ query }) => void sent.push({ text: query.sql, values: query.parameters })
  })
  t.teardown(() => db.destroy())
  await accounts.insert(db, {
    id: accountId,
    username: 'ada',
    usernameKey: 'ada',
    email: null,
    emailKey: null,
    passwordHash: null,
    roles: [],
    createdAt: now
  })
  const begin = () =>
    sessions.begin(
      db,
      {
        id: sessionId,
        accountId,
        transport: 'body',
        clientId: 'web',
        scope: '',
        amr: ['pwd'],
        acr: 'aal1',
        jkt: null,
        createdAt: now,
        idleExpiresAt: later,
        expiresAt: later,
        hasStatus: false,
        userAgent: null,
        address: null
      },
      { passwordHash: null, guesser: null }
    )
  /** What was sent meanwhile. */
  const during = async (work: () => Promise<unknown>): Promise<Statement[]> => {
    sent.length = 0
    t.ok(await work(), 'it found its row')
    return [...sent]
  }
  return { db, begin, during }
}

/**
 * By what a statement finds the rows of a table, at each place where it names it: the value that is compared with the
 * table's key, or the column of another table; undefined for any other way.
 */
function keysOf({ text, values }: Statement, table: string): unknown[] {
  const places = text.matchAll(new RegExp(`\\b(update|from|join|insert into)\\s+${table}\\b(?:\\s+as\\s+(\\w+))?`, 'g'))
  return [...places].map(([, verb, alias]) => {
    const found =
      verb === 'insert into'
        ? new RegExp(`insert into ${table}\\s*\\(id,[^)]*\\)\\s*select \\$(\\d+)`).exec(text)
        : new RegExp(`${alias === undefined ? '(?<![.\\w])' : `\\b${alias}\\.`}id = (?:\\$(\\d+)|(\\w+\\.\\w+))`).exec(
            text
          )
    return found?.[1] === undefined ? found?.[2] : values[Number(found[1]) - 1]
  })
}

/** The tables besides sessions and accounts that a statement names, without its own common table expressions. */
function othersOf({ text }: Statement): string[] {
  const own = [...text.matchAll(/(?:with|,)\s+(\w+) as \(/g)].map(([, name]) => name)
  const named = [...text.matchAll(/\b(?:update|from|join|into)\s+([a-z]\w*)/g)].map(([, name]) => name!)
  return [...new Set(named)].filter((name) => !['session', 'account', ...own].includes(name)).sort()
}

/** One session by its key, and its account by what the session says. */
function touchesOneSession(t: Test, statement: Statement) {
  t.strictSame(keysOf(statement, 'session'), [sessionId])
  t.strictSame(keysOf(statement, 'account'), ['s.account_id'])
}

t.test('a rotation is one statement that names one session by its key', async (t) => {
  const { db, begin, during } = await signedIn(t)
  await begin()
  const rotation = { sessionId, generation: 0, transport: 'body', jkt: null, idleExpiresAt: later, now } as const
  const [statement, ...more] = await during(() => rotate(db, rotation))
  t.strictSame(more, [])
  touchesOneSession(t, statement!)
  t.strictSame(othersOf(statement!), ['revocation', 'role'])
})

t.test('a session begins at one account by its key, as one row by its own', async (t) => {
  const { begin, during } = await signedIn(t)
  const [insert, ...more] = await during(begin)
  t.strictSame(more, [])
  t.strictSame(keysOf(insert!, 'account'), [accountId, 's.account_id'])
  t.strictSame(keysOf(insert!, 'session')[0], sessionId)
  // Whether its device is a new one is asked of the earlier sessions of its account.
  t.match(insert!.text, /from session as earlier\s+where earlier\.account_id = s\.account_id/)
  t.strictSame(othersOf(insert!), ['password_guess', 'revocation', 'role'])
})

t.test('a session that is judged is read by its key', async (t) => {
  const { db, begin, during } = await signedIn(t)
  await begin()
  const [statement, ...more] = await during(() => sessions.findHeld(db, sessionId))
  t.strictSame(more, [])
  touchesOneSession(t, statement!)
})

t.test('a session ends by its key, and one row tells of it', async (t) => {
  const { db, begin, during } = await signedIn(t)
  await begin()
  const [statement, ...more] = await during(() => end(db, { id: sessionId, ending }))
  t.strictSame(more, [])
  t.strictSame(keysOf(statement!, 'session'), [sessionId])
  t.strictSame(keysOf(statement!, 'account'), [])
  t.strictSame(othersOf(statement!), ['audit_event', 'jsonb_to_recordset', 'revocation'])
})
