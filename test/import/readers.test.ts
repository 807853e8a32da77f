import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { ImportEntry, ImportSource } from '../../src/domain/imported-user.js'
import { openSource, type System } from '../../src/import/source.js'
import { exported } from '../support/importing.js'
import { scratchFolder } from '../support/service.js'

async function open(t: Test, system: System, content: string, userModel?: string): Promise<ImportSource> {
  const path = join(scratchFolder(t), 'export')
  writeFileSync(path, content)
  const hashConfig = exported('firebase-hash-config.json')
  return await openSource(system, path, { hashConfig, userModel, now: new Date('2030-01-01T00:00:00Z') })
}

async function entriesOf(source: ImportSource): Promise<ImportEntry[]> {
  const entries: ImportEntry[] = []
  for await (const entry of source.entries()) entries.push(entry)
  return entries
}

/** Entries as their numbers with the ids of users, or the reasons of the others. */
const brief = (entries: readonly ImportEntry[]) =>
  entries.map((entry) => [entry.at, entry.kind === 'user' ? entry.user.externalId : entry.because])

const header = 'id,username,password,is_active,date_joined\n'

t.test('lines of CSV that are wrong are told by their numbers, and the others are kept', async (t) => {
  const lines = [
    '1,"a\nb",,t,',
    '2,ada,,t',
    '3,grace,,maybe,',
    '4,linus,,f,yesterday',
    '',
    '5,barbara,,FALSE,2021-03-04 05:06:07+05:30',
    ',zoe,,1,'
  ]
  t.same(brief(await entriesOf(await open(t, 'django', `\ufeff${header}${lines.join('\n')}\n`))), [
    [2, 'django:1'],
    [4, 'it has 4 fields, and the header 5'],
    [5, '"is_active" is neither true nor false'],
    [6, '"date_joined" is not a date and time'],
    [8, 'django:5'],
    [9, '"id" is missing, or not an id']
  ])
})

t.test('what cannot be told into lines of CSV any more is told, with all that came before', async (t) => {
  const open1 = await open(t, 'django', `${header}1,ada,,t,\n2,"grace,,t,\n3,linus,,t,\n`)
  t.match(brief(await entriesOf(open1)), [
    [2, 'django:1'],
    [3, /never closed: nothing after it could be read/]
  ])
  const huge = await open(t, 'django', `${header}1,ada,,t,\n2,${'x'.repeat(2_000_000)},,t,\n`)
  t.match(brief(await entriesOf(huge)), [
    [2, 'django:1'],
    [3, /longer than 1 MiB/]
  ])
})

t.test('a quote that is never closed is told where it was opened, wherever that is', async (t) => {
  const never = 'a quote that was opened here is never closed: nothing after it could be read'
  const rest = Array.from({ length: 5_000 }, (_, at) => `${at + 10},user${at},,t,\n`).join('')
  for (const [title, content, told] of [
    [
      'after empty lines',
      `${header}1,ada,,t,\n\n\n"2,grace,,t,\n${rest}`,
      [
        [2, 'django:1'],
        [5, never]
      ]
    ],
    [
      'as the last field',
      `${header}1,ada,,t,\n2,grace,,t,"2021\n${rest}`,
      [
        [2, 'django:1'],
        [3, never]
      ]
    ],
    ['behind one that was closed', `${header}1,"a\nb",,"t,\n${rest}`, [[3, never]]],
    [
      'with line ends of Windows',
      `${header}1,ada,,t,\r\n2,"a\r\nb","x\r\n3,linus,,t,\r\n`,
      [
        [2, 'django:1'],
        [4, never]
      ]
    ],
    ['behind one that does not match', `${header}1,"a"b"c,,t,\n${rest}`, [[2, never]]],
    [
      'at the end',
      `\ufeff${header}1,ada,,t,\n2,"`,
      [
        [2, 'django:1'],
        [3, never]
      ]
    ]
  ] as const) {
    t.same(brief(await entriesOf(await open(t, 'django', content))), told, title)
  }
})

t.test('lines of JSON that are wrong are told by their numbers, and the others are kept', async (t) => {
  const long = JSON.stringify({ user_id: 'auth0|3', nickname: 'x'.repeat(2_000_000) })
  const lines = [
    '{"user_id":"auth0|1"}\r',
    '[]',
    long,
    'null',
    '{"user_id":"auth0|5","email":7}',
    '{"user_id":"auth0|6"}'
  ]
  t.same(brief(await entriesOf(await open(t, 'auth0', `\ufeff${lines.join('\n')}`))), [
    [1, 'auth0:auth0|1'],
    [2, 'it is not a JSON object'],
    [3, 'it is longer than 1 MiB'],
    [4, 'it is not a JSON object'],
    [5, '"email" is not a text'],
    [6, 'auth0:auth0|6']
  ])
})

t.test('an array that breaks off is told, with all that came before', async (t) => {
  for (const [text, because] of [
    ['[{"id":"a"},{"id":"b"},{"id":', /breaks off after element 2/],
    ['[{"id":"a"},{"id":"b"}', /breaks off after element 2/]
  ] as const) {
    const entries = brief(await entriesOf(await open(t, 'supabase', text)))
    t.match(
      entries,
      [
        [1, 'supabase:a'],
        [2, 'supabase:b'],
        [3, because]
      ],
      text
    )
  }
})

t.test('elements of any shape are elements, and only those of the array that is meant', async (t) => {
  const text =
    '{"before":[{"localId":"x"}],"users":[{"localId":"a","more":[[1],{"users":[2]}]},[],7,{"localId":"b"}],"after":[1]}'
  t.same(brief(await entriesOf(await open(t, 'firebase', text))), [
    [1, 'firebase:a'],
    [2, 'it is not a JSON object'],
    [3, 'it is not a JSON object'],
    [4, 'firebase:b']
  ])
  t.same(await entriesOf(await open(t, 'supabase', '[]')), [])
})

const key = (digit: string) => digit.repeat(40)
const dump = (...elements: object[]) => JSON.stringify(elements)

t.test('what a dump refers to and does not have is told', async (t) => {
  const source = await open(
    t,
    'django',
    dump(
      { model: 'authtoken.token', pk: key('a'), fields: { user: 1 } },
      { model: 'authtoken.token', pk: key('b'), fields: { user: 1 } },
      { model: 'authtoken.token', pk: key('c'), fields: { user: 99 } },
      { model: 'authtoken.token', pk: 'not a key', fields: { user: 1 } },
      {
        model: 'auth.group',
        pk: 1,
        fields: {
          name: 'Editors',
          permissions: [5, ['add_post', 'blog', 'post'], 6, ['introspect', 'keyturn', 'token']]
        }
      },
      { model: 'auth.group', pk: 2, fields: { permissions: [] } },
      { model: 'auth.permission', pk: 5, fields: { codename: 'change_post', content_type: 9 } },
      { model: 'auth.permission', pk: 6, fields: { codename: 'bad name', content_type: ['blog', 'post'] } },
      { model: 'constructor', pk: 1, fields: {} },
      { model: '__proto__', pk: 1, fields: {} },
      { model: 'auth.user', pk: 1, fields: { username: 'ada', groups: [1, 3, ['Writers']], user_permissions: [5, 7] } },
      { model: 'auth.user', pk: 2 }
    )
  )
  t.match(source.roles, [{ name: 'editors', permissions: ['blog.add_post'] }])
  t.match(source.notes, [/"Editors" has 3 permission\(s\) that are not in the file, or cannot be/])
  const [ada, ...others] = await entriesOf(source)
  t.match(ada, { at: 11, user: { roles: ['editors'], permissions: [], token: { key: key('a') } } })
  t.same(ada?.kind === 'user' && ada.user.notes, [
    'its group 3 is not in the file',
    'its group ["Writers"] is not in the file',
    'its permission 5 is not in the file, or cannot be one here',
    'its permission 7 is not in the file, or cannot be one here'
  ])
  t.same(brief(others), [
    [12, '"fields" is missing'],
    [2, 'the user 1 has another token already'],
    [4, 'this token is not 40 hexadecimal digits'],
    [6, '"name" is missing'],
    [3, 'the user 99 of this token is not in the file']
  ])
})

t.test('users of another model are read by its name, with their addresses for usernames', async (t) => {
  const elements = dump(
    { model: 'shop.customer', pk: '7d4d', fields: { email: 'ada@example.com', is_superuser: true } },
    { model: 'auth.user', pk: 1, fields: { username: 'other' } },
    { model: 'authtoken.token', pk: key('a'), fields: { user: ['ada@example.com'] } }
  )
  const entries = await entriesOf(await open(t, 'django', elements, 'shop.Customer'))
  t.match(entries, [
    {
      user: {
        externalId: 'django:7d4d',
        username: null,
        email: 'ada@example.com',
        roles: ['admin', 'staff'],
        token: {}
      }
    }
  ])
  t.equal(entries.length, 1)
})

t.test('references that are no list are told, and never taken for none', async (t) => {
  const user = (pk: number, fields: object) => ({ model: 'auth.user', pk, fields: { username: `u${pk}`, ...fields } })
  const source = await open(
    t,
    'django',
    dump(
      { model: 'auth.group', pk: 1, fields: { name: 'Editors', permissions: 'x' } },
      user(1, { groups: 'x' }),
      user(2, { user_permissions: { 5: true } }),
      user(3, { groups: 0 }),
      user(4, { groups: null }),
      user(5, { groups: [] })
    )
  )
  t.same(source.roles, [], 'a group of which nobody knows what it may do is none')
  t.same(brief(await entriesOf(source)), [
    [2, '"groups" is not a list'],
    [3, '"user_permissions" is not a list'],
    [4, '"groups" is not a list'],
    [5, 'django:4'],
    [6, 'django:5'],
    [1, '"permissions" is not a list']
  ])
})
