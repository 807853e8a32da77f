import fc from 'fast-check'
import t from 'tap'
import {
  type ImportedUser,
  isPermission,
  judgeImportedPassword,
  roleNames,
  toAccount
} from '../../src/domain/imported-user.js'

const now = new Date('2030-01-01T00:00:00Z')
const user: ImportedUser = {
  externalId: 'django:42',
  username: 'ada',
  email: 'Ada@example.com',
  emailVerified: false,
  password: null,
  isDisabled: false,
  createdAt: new Date('2020-01-01T00:00:00Z'),
  lastLoginAt: null,
  roles: [],
  permissions: [],
  token: null,
  notes: []
}

t.test('a group’s name becomes a role’s, and two groups never become one role', async (t) => {
  const { names, notes } = roleNames([
    'Content Editors',
    'content-editors',
    '2nd line',
    'ADMIN',
    'Staff',
    'Ärzte',
    '!!!'
  ])
  t.match(names.get('Content Editors'), /^content-editors-[0-9a-f]{8}$/)
  t.match(names.get('content-editors'), /^content-editors-[0-9a-f]{8}$/)
  t.equal(names.get('2nd line'), 'nd-line')
  t.match(names.get('ADMIN'), /^admin-[0-9a-f]{8}$/, 'a name makes nobody an administrator')
  t.match(names.get('Staff'), /^staff-[0-9a-f]{8}$/)
  t.equal(names.get('Ärzte'), 'arzte')
  t.match(names.get('!!!'), /^group-[0-9a-f]{8}$/)
  t.equal(notes.length, 5)
  t.equal(new Set(names.values()).size, 7)
})

t.test('whatever groups are called, roles have their form, are different, and the same in any order', async () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.string({ unit: 'binary', minLength: 1, maxLength: 150 }), { maxLength: 8 }),
      (groups) => {
        const { names } = roleNames(groups)
        const other = roleNames(groups.toReversed()).names
        return (
          new Set(names.values()).size === groups.length &&
          groups.every(
            (group) => /^[a-z][a-z0-9_.:-]{0,63}$/.test(names.get(group)!) && other.get(group) === names.get(group)
          ) &&
          ![...names.values()].some((name) => name === 'admin' || name === 'staff')
        )
      }
    )
  )
})

t.test('nobody without a username goes without a name', async (t) => {
  for (const [change, username] of [
    [{ username: null }, 'Ada@example.com'],
    [{ username: null, email: null }, 'django-42'],
    [{ username: null, email: null, externalId: 'auth0:google-oauth2|1' }, 'auth0-google-oauth2-1'],
    [{ username: null, email: "o'neill@example.com" }, 'django-42']
  ] as const) {
    t.match(toAccount({ ...user, ...change }, null, now), { username })
  }
})

t.test('nothing of an account lies in the future or before computers', async (t) => {
  const future = new Date('2040-01-01T00:00:00Z')
  const past = new Date('1900-01-01T00:00:00Z')
  t.match(toAccount({ ...user, createdAt: future, lastLoginAt: future }, null, now), {
    createdAt: now,
    lastLoginAt: now
  })
  t.match(toAccount({ ...user, createdAt: past, lastLoginAt: past }, null, now), { createdAt: now, lastLoginAt: null })
})

t.test('what a new account may not be is refused, all of it at once', async (t) => {
  const faults = toAccount({ ...user, username: 'a b', email: 'nowhere', externalId: 'django:\0' }, null, now)
  t.match(faults, [/username "a b"/, /email address "nowhere"/, /its id/])
})

t.test('no file gives a permission that means something to this service', async (t) => {
  const permissions = ['blog.add_post', 'keyturn.introspect', 'KEYTURN.introspect', 'c d', 'x'.repeat(129)]
  t.match(toAccount({ ...user, permissions }, null, now), { permissions: ['blog.add_post'] })
  t.same(permissions.filter(isPermission), ['blog.add_post'])
})

t.test('a password of another system is never taken for one of our own', async (t) => {
  const phc = '$argon2id$v=19$m=4096,t=3,p=1$c2FsdHNhbHRzYWx0c2FsdA$ZAl/Ck5MEauZQBoybo2y/fQhKqBK86z8g2MohI5Rpt4'
  t.same(judgeImportedPassword(phc), { stored: `argon2${phc}`, scheme: 'argon2id', because: null })
  t.same(judgeImportedPassword(`argon2${phc}`).stored, `argon2${phc}`)
  t.match(judgeImportedPassword(phc.replace('m=4096', 'm=4194304')), { stored: null, because: /too much memory/ })
  for (const none of [null, '', '!', '!ZO6xfbAnp6bvghiDtBQ3qZ78DteJX18Zj3pZswh8']) {
    t.same(judgeImportedPassword(none), { stored: null, scheme: 'none', because: null })
  }
})
