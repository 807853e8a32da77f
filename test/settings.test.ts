import { readFile } from 'node:fs/promises'
import t from 'tap'
import { definitions, exampleEnvironment, readSettings } from '../src/settings.js'

t.test('.env.example is what the settings say', async (t) => {
  const committed = await readFile(new URL('../.env.example', import.meta.url), 'utf8')
  t.equal(
    committed,
    exampleEnvironment(),
    'run `npx keyturn config print --example > .env.example` and commit the result'
  )
})

t.test('every default is a value that the setting itself would take', async (t) => {
  t.same(readSettings({}).faults, [])
  for (const [name, { fallback }] of Object.entries(definitions) as Array<[string, { fallback?: string }]>) {
    if (fallback) t.same(readSettings({ [name]: fallback }).faults, [], name)
  }
})

t.test('DATABASE_URL names one host: the driver knows no lists of them, and would not follow a failover', async (t) => {
  const faultsOf = (DATABASE_URL: string) => readSettings({ DATABASE_URL }).faults
  for (const hosts of ['one:5432,two:5432', 'one,two']) {
    const several = faultsOf(`postgres://app:secret@${hosts}/keyturn?target_session_attrs=read-write`)
    t.match(several, [/^DATABASE_URL must be the URL of one host.*Failover/])
    t.notMatch(several.join(), /secret/)
  }
  t.same(faultsOf('postgres://app:se,cret@one:5432/keyturn?options=a,b'), [], 'a comma elsewhere is none between hosts')
})

t.test('an empty variable is none, as compose files write it', async (t) => {
  const empty = Object.fromEntries(Object.keys(definitions).map((name) => [name, '']))
  t.same(readSettings(empty), readSettings({}))
})
