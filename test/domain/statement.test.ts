import t from 'tap'
import { kindOfStatement } from '../../src/domain/statement.js'

const statements: Array<[string, string, string | undefined]> = [
  ['select "id" from "session" where "id" = $1', 'select', 'session'],
  ['insert into "account" ("id") values ($1)', 'insert', 'account'],
  ['\n    insert into rate_window as w (digest) select * from unnest($1)', 'insert', 'rate_window'],
  ['update "session" set "generation" = $1', 'update', 'session'],
  ['delete from "api_token" where "id" = $1', 'delete', 'api_token'],
  ['with gone as (delete from password_guess where who = $1) select 1', 'delete', 'password_guess'],
  ['with given as (select 1 from role) select * from given', 'select', 'role'],
  ['with a as (update account set x = $1 returning id) insert into session (id) select 1 from a', 'insert', 'session'],
  ['insert into w (a) values ($1) on conflict (a) do update set a = 1', 'insert', 'w'],
  ['select now()', 'select', undefined],
  ['select "a" from "account" for update', 'select', 'account'],
  [
    'select 1 from (values (1)) as one left join account as a on true cross join lateral (select 1) as w',
    'select',
    'account'
  ],
  ['begin', 'begin', undefined],
  ['set statement_timeout = 1', 'set', undefined],
  ['', 'statement', undefined]
]

t.test('a statement is told by what it does and with which table', async (t) => {
  for (const [text, operation, table] of statements) t.same(kindOfStatement(text), { operation, table }, text)
})
