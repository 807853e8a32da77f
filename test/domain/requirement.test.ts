import fc from 'fast-check'
import t from 'tap'
import { type Principal, principal } from '../../src/domain/principal.js'
import {
  allow,
  describeRequirement,
  type Facts,
  inquiryOf,
  isOpen,
  judge,
  type Requirement,
  type Verdict
} from '../../src/domain/requirement.js'

const now = new Date('2030-01-01T12:00:00Z')
const ago = (seconds: number) => new Date(now.getTime() - seconds * 1000)

const ada = principal({
  accountId: 'ada',
  authenticator: 'bearer',
  roles: new Set(['editor']),
  permissions: new Set(['articles.change']),
  authenticatedAt: ago(100),
  acr: 'aal1'
})
const limited: Principal = { ...ada, scopes: new Set(['read', 'profile']) }
const admin: Principal = { ...ada, roles: new Set(['admin']) }
const unsigned: Principal = { ...ada, authenticatedAt: null, acr: null }

const ok: Verdict = { ok: true }
const denied: Verdict = { ok: false, because: 'denied' }
const anonymous: Verdict = { ok: false, because: 'anonymous' }
const notFresh: Verdict = { ok: false, because: 'not_fresh' }
const scope = (name: string): Verdict => ({ ok: false, because: 'scope', scope: name })
const readOnly: Requirement = { read_only: true }
const yes = allow.check('yes', () => true)
const no = allow.check('no', () => false)

const cases: Array<[string, Requirement, Principal | null, Verdict, Partial<Facts>?]> = [
  ['anybody is anybody', allow.allowAny(), null, ok],
  ['a limited credential is anybody too', allow.allowAny(), limited, ok],
  ['nobody is not authenticated', allow.authenticated(), null, anonymous],
  ['somebody is', allow.authenticated(), ada, ok],
  ['a limited credential may not what asks for no scope', allow.authenticated(), limited, denied],
  ['an administrator is one by the role', allow.admin(), admin, ok],
  ['and by nothing else', allow.admin(), ada, denied],
  ['one of several roles is enough', allow.role('chief', 'editor'), ada, ok],
  ['every one of several permissions is needed', allow.permission('articles.change', 'articles.burn'), ada, denied],
  ['who has them all gets in', allow.permission('articles.change'), ada, ok],
  ['a scope is asked for by name', allow.scope('read'), limited, ok],
  [
    'every scope is needed, and what is lacking is told',
    allow.scope('read', 'write', 'burn'),
    limited,
    scope('write burn')
  ],
  ['a credential without limits has no scope', allow.scope('read'), ada, scope('read')],
  [
    'a scope beside a role lets a limited credential in',
    allow.all(allow.role('editor'), allow.scope('read')),
    limited,
    ok
  ],
  ['but not without the role', allow.all(allow.admin(), allow.scope('read')), limited, denied],
  ['nor is a scope told that would not help', allow.all(allow.admin(), allow.scope('write')), limited, denied],
  ['reading is for everybody', allow.readOnlyOr(allow.admin()), null, ok],
  ['writing is not', allow.readOnlyOr(allow.admin()), null, anonymous, { context: { method: 'POST' } }],
  ['HEAD reads', allow.readOnlyOr(allow.admin()), null, ok, { context: { method: 'HEAD' } }],
  ['TRACE does not', allow.readOnlyOr(allow.admin()), null, anonymous, { context: { method: 'TRACE' } }],
  ['a method in lower case does not', allow.readOnlyOr(allow.admin()), null, anonymous, { context: { method: 'get' } }],
  ['an open part lends no scope to its neighbour', allow.all(readOnly, allow.authenticated()), limited, denied],
  ['nor does anybody', allow.all(allow.allowAny(), allow.role('editor')), limited, denied],
  ['all of what is open is open', allow.all(readOnly, allow.allowAny()), null, ok],
  ['a class of sign-in that is reached', allow.acr('aal1'), ada, ok],
  ['contains the ones below', allow.acr('aal1'), { ...ada, acr: 'aal3' }, ok],
  ['one of one’s own is itself alone', allow.acr('urn:gold'), { ...ada, acr: 'urn:gold' }, ok],
  [
    'and contains nothing',
    allow.acr('aal1'),
    { ...ada, acr: 'urn:gold' },
    { ok: false, because: 'step_up', acrValues: 'aal1' }
  ],
  [
    'nor is it contained in any',
    allow.acr('urn:gold'),
    { ...ada, acr: 'aal3' },
    { ok: false, because: 'step_up', acrValues: 'urn:gold' }
  ],
  [
    'a class that is not reached is asked for',
    allow.acr('aal2'),
    ada,
    { ok: false, because: 'step_up', acrValues: 'aal2' }
  ],
  ['a sign-in that is new enough, to the second', allow.maxAuthAge(100), ada, ok],
  ['one that is too old is asked for anew', allow.maxAuthAge(99), ada, { ok: false, because: 'step_up', maxAge: 99 }],
  ['nobody signed in', allow.maxAuthAge(99), unsigned, { ok: false, because: 'step_up', maxAge: 99 }],
  [
    'all that fails of the sign-in is asked for at once, the strictest age',
    allow.all(allow.acr('aal2'), allow.maxAuthAge(50), allow.maxAuthAge(20), allow.maxAuthAge(500)),
    ada,
    { ok: false, because: 'step_up', acrValues: 'aal2', maxAge: 20 }
  ],
  [
    'a step up is not promised to who would be refused anyway',
    allow.all(allow.admin(), allow.acr('aal2')),
    ada,
    denied
  ],
  [
    'a scope and a step up are told one after the other',
    allow.all(allow.scope('write'), allow.acr('aal2')),
    limited,
    { ok: false, because: 'step_up', acrValues: 'aal2' }
  ],
  ['alive in the database', allow.fresh(), ada, ok, { fresh: true }],
  ['dead in the database', allow.fresh(), ada, notFresh, { fresh: false }],
  ['nobody asked the database', allow.fresh(), ada, notFresh],
  [
    'a dead credential is told so, whatever else it lacks',
    allow.all(allow.fresh(), allow.scope('write'), allow.acr('aal2')),
    limited,
    notFresh
  ],
  ['but a live one would not help who is refused anyway', allow.all(allow.fresh(), allow.admin()), ada, denied],
  ['the owner', allow.owner(() => 'ada'), ada, ok],
  ['another', allow.owner(() => 'bob'), ada, denied],
  ['nobody’s', allow.owner(() => undefined), ada, denied],
  [
    'by what the route was given',
    allow.owner(({ params }) => (params as { id: string }).id),
    ada,
    ok,
    { context: { method: 'GET', params: { id: 'ada' } } }
  ],
  ['a check that says yes', yes, ada, ok, { checks: new Map([[yes, true]]) }],
  ['a check that says no', no, ada, denied, { checks: new Map([[no, false]]) }],
  ['a check that was not asked', yes, ada, denied],
  [
    'a check of the same name is another check',
    allow.check('yes', () => true),
    ada,
    denied,
    { checks: new Map([[yes, true]]) }
  ],
  ['not the role', allow.not(allow.role('editor')), ada, denied],
  ['not another role', allow.not(allow.admin()), ada, ok],
  ['a negation lets no limited credential in', allow.not(allow.admin()), limited, denied],
  ['not even with the scope that it denies', allow.not(allow.scope('write')), limited, denied],
  ['beside a scope it does', allow.all(allow.not(allow.scope('write')), allow.scope('read')), limited, ok],
  [
    'a scope that would keep out is not asked for',
    allow.all(allow.not(allow.scope('write')), allow.scope('burn')),
    limited,
    scope('burn')
  ],
  [
    'nor a sign-in',
    allow.all(allow.not(allow.acr('aal3')), allow.acr('aal2')),
    ada,
    { ok: false, because: 'step_up', acrValues: 'aal2' }
  ],
  [
    'a scope is one way in, and an account without limits another',
    allow.any(allow.authenticated(), allow.scope('read')),
    limited,
    ok
  ],
  ['which the limited one has not', allow.any(allow.authenticated(), allow.scope('write')), limited, scope('write')],
  ['and the other has', allow.any(allow.authenticated(), allow.scope('write')), ada, ok],
  ['a negation lets nobody in', allow.not(allow.admin()), null, anonymous],
  ['not twice either', allow.not(allow.not(allow.allowAny())), null, anonymous],
  ['nor by the method', allow.not(readOnly), null, anonymous, { context: { method: 'POST' } }],
  [
    'nor of what nobody can be',
    allow.not(allow.all(readOnly, allow.admin())),
    null,
    anonymous,
    { context: { method: 'POST' } }
  ],
  ['what is negated cannot be helped by a sign-in', allow.not(allow.acr('aal1')), ada, denied],
  ['one of two is enough', allow.any(allow.admin(), allow.role('editor')), ada, ok],
  ['nobody is never one of two', allow.any(allow.admin(), allow.role('editor')), null, anonymous],
  ['what is made by hand and empty lets nobody in', { all: [] }, null, anonymous],
  ['nor anybody', { all: [] }, ada, denied],
  ['nor one of none', { any: [] }, ada, denied]
]
for (const [title, need, who, verdict, facts] of cases) {
  t.test(title, async (t) => {
    t.strictSame(judge(need, { principal: who, context: { method: 'GET' }, now, ...facts }), verdict)
  })
}

t.test('a requirement of nothing is refused where it is written', async (t) => {
  for (const make of [() => allow.role(), () => allow.scope(), () => allow.permission()]) {
    t.throws(make, /would let everybody in: name one/)
  }
  for (const make of [() => allow.all(), () => allow.any()]) t.throws(make, /need at least one requirement/)
})

t.test('a scope or a class that would break a header is refused where it is written', async (t) => {
  for (const text of ['', 'a b', 'a"b', 'a\\b', 'a\r\nb', 'ä']) {
    t.throws(() => allow.scope(text), /1 to 64 printable characters without spaces, quotes and backslashes/)
    t.throws(() => allow.acr(text), /1 to 64 printable characters without spaces, quotes and backslashes/)
  }
})

t.test('what has to be found out is known beforehand', async (t) => {
  t.strictSame(inquiryOf(allow.all(allow.admin(), allow.any(yes, allow.not(no)))), { fresh: false, checks: [yes, no] })
  t.ok(inquiryOf(allow.not(allow.all(allow.fresh(), yes))).fresh)
})

/** Requirements of every form, of every depth that a person would write. */
const names = ['a', 'b', 'c']
const name = fc.constantFrom(...names)
const leaf: fc.Arbitrary<Requirement> = fc.oneof(
  fc.constant(allow.allowAny()),
  fc.constant(allow.authenticated()),
  fc.constant(readOnly),
  fc.constant(allow.fresh()),
  name.map((one) => allow.scope(one)),
  name.map((one) => allow.role(one)),
  name.map((one) => allow.permission(one)),
  fc.constantFrom('aal1', 'aal2').map((acr) => allow.acr(acr)),
  fc.constantFrom(50, 500).map((age) => allow.maxAuthAge(age)),
  name.map((one) => allow.owner(() => one)),
  fc.constantFrom(yes, no)
)
const requirement = fc.letrec<{ need: Requirement }>((tie) => ({
  need: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    fc.array(tie('need'), { minLength: 1, maxLength: 3 }).map((parts) => allow.all(...parts)),
    fc.array(tie('need'), { minLength: 1, maxLength: 3 }).map((parts) => allow.any(...parts)),
    tie('need').map((part) => allow.not(part))
  )
})).need
const some = fc.subarray(names).map((chosen) => new Set(chosen))
const person = fc
  .record({
    accountId: name,
    roles: some,
    permissions: some,
    authenticatedAt: fc.constantFrom(null, ago(100)),
    acr: fc.constantFrom(null, 'aal0', 'aal1', 'aal2')
  })
  .map((known) => principal({ authenticator: 'bearer', ...known }))
const circumstances = fc
  .record({ method: fc.constantFrom('GET', 'POST'), fresh: fc.boolean() })
  .map(({ method, fresh }) => ({
    context: { method },
    now,
    fresh,
    checks: new Map<Requirement, boolean>([
      [yes, true],
      [no, false]
    ])
  }))
const runs = { numRuns: 3_000 }

function asksForScope(need: Requirement): boolean {
  if ('all' in need) return need.all.some(asksForScope)
  if ('any' in need) return need.any.some(asksForScope)
  if ('not' in need) return asksForScope(need.not)
  return 'scope' in need
}

t.test('a limit never lets more in: without a scope to ask for, only what is for nobody too', async (t) => {
  fc.assert(
    fc.property(requirement, person, some, circumstances, (need, who, scopes, rest) => {
      if (scopes.size === 0 || asksForScope(need)) return true
      const open = judge(need, { principal: null, ...rest }).ok
      return (
        judge(need, { principal: { ...who, scopes }, ...rest }).ok ===
        (open && judge(need, { principal: who, ...rest }).ok)
      )
    }),
    runs
  )
  t.pass()
})

t.test('a limit takes away from an account, and gives only the scopes by their names', async (t) => {
  const everyScope = new Set(names)
  const withoutScopes = (need: Requirement): Requirement => {
    if ('all' in need) return allow.all(...need.all.map(withoutScopes))
    if ('any' in need) return allow.any(...need.any.map(withoutScopes))
    return 'scope' in need ? allow.authenticated() : need
  }
  const hasNegation = (need: Requirement): boolean =>
    'not' in need || ('all' in need ? need.all.some(hasNegation) : 'any' in need && need.any.some(hasNegation))
  fc.assert(
    fc.property(requirement, person, some, circumstances, (need, who, scopes, rest) => {
      if (scopes.size === 0 || hasNegation(need)) return true
      const isIn = judge(need, { principal: { ...who, scopes }, ...rest }).ok
      const more = judge(need, { principal: { ...who, scopes: everyScope }, ...rest }).ok
      const asIfNotAsked = judge(withoutScopes(need), { principal: who, ...rest }).ok
      return !isIn || (more && asIfNotAsked)
    }),
    runs
  )
  t.pass()
})

t.test('a negation never lets anybody in without credentials', async (t) => {
  fc.assert(
    fc.property(requirement, circumstances, (need, rest) => {
      const verdict = judge(allow.not(need), { principal: null, ...rest })
      return !verdict.ok && verdict.because === 'anonymous' && !isOpen(allow.not(need))
    }),
    runs
  )
  t.pass()
})

t.test('the order of parts does not matter', async (t) => {
  const parts = fc.array(requirement, { minLength: 2, maxLength: 4 })
  const who = fc.option(fc.tuple(person, some).map(([one, scopes]) => ({ ...one, scopes })))
  fc.assert(
    fc.property(parts, who, circumstances, fc.infiniteStream(fc.nat()), (needs, principal, rest, chance) => {
      const shuffled = needs.map((need) => [chance.next().value, need] as const).sort(([a], [b]) => a - b)
      for (const join of [allow.all, allow.any]) {
        const one = judge(join(...needs), { principal, ...rest })
        const other = judge(join(...shuffled.map(([, need]) => need)), { principal, ...rest })
        if (one.ok !== other.ok || (!one.ok && !other.ok && one.because !== other.because)) return false
      }
      return true
    }),
    runs
  )
  t.pass()
})

t.test('what is open without a method is open to nobody by every method', async (t) => {
  fc.assert(
    fc.property(
      requirement,
      circumstances,
      (need, rest) => !isOpen(need) || judge(need, { principal: null, ...rest }).ok
    ),
    runs
  )
  t.pass()
})

t.test('what a refusal asks for lets in, or leads to the next refusal', async (t) => {
  fc.assert(
    fc.property(requirement, person, some, circumstances, (need, who, scopes, rest) => {
      // Inside a negation a remedy takes away.
      if (JSON.stringify(describeRequirement(need)).includes('"not"')) return true
      let [at, facts] = [{ ...who, scopes }, rest]
      for (let step = 0; step < 4; step++) {
        const verdict = judge(need, { principal: at, ...facts })
        if (verdict.ok || verdict.because === 'denied') return step === 0 || verdict.ok
        if (verdict.because === 'anonymous') return false
        if (verdict.because === 'not_fresh') facts = { ...facts, fresh: true }
        if (verdict.because === 'step_up') at = { ...at, acr: 'aal3', authenticatedAt: now }
        if (verdict.because === 'scope') at = { ...at, scopes: new Set([...at.scopes, ...verdict.scope.split(' ')]) }
      }
      return false
    }),
    runs
  )
  t.pass()
})

t.test('a requirement is described as JSON that is read back as it was', async (t) => {
  fc.assert(
    fc.property(requirement, (need) => {
      const described = describeRequirement(need)
      t.strictSame(JSON.parse(JSON.stringify(described)), described)
      return !JSON.stringify(described).includes('undefined')
    }),
    { numRuns: 300 }
  )
  t.strictSame(describeRequirement(allow.all(allow.admin(), allow.not(allow.owner(() => 'a', 'article')), yes)), {
    all: [{ role: 'admin' }, { not: { owner: 'article' } }, { check: 'yes' }]
  })
})
