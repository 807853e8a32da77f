import t from 'tap'
import { command, terminal } from '../support/terminal.js'
import { goodPassword } from '../support/world.js'

t.test('whoever names what is not there is told so in words of the terminal', async (t) => {
  const { run } = await terminal(t)
  for (const [line, message] of [
    ['user show ghost', /There is no account "ghost"\.\n.*`keyturn user list --search <beginning>`/],
    ['user disable 00000000-0000-4000-8000-000000000000', /There is no account "00000000-/],
    ['token mint ghost', /There is no account "ghost"/],
    ['role delete ghost', /There is no role "ghost"\.\n`keyturn role list`/]
  ] as const) {
    const { code, stderr } = await run(line)
    t.equal(code, 1, line)
    t.match(stderr, message)
    t.notMatch(stderr, /openapi|nothing here/)
  }
})

t.test('roles and permissions have the names that HTTP lets them have', async (t) => {
  const { environment, run, json } = await terminal(t)
  await run('user create ada', goodPassword)
  for (const [words, message] of [
    [['role', 'set', 'Bad Name!'], /The request is not valid\.\n {2}- name: Use 1 to 64 lower-case letters/],
    [['role', 'set', 'x'.repeat(65)], /- name: Use/],
    [['role', 'set', 'r2', '--permissions', 'fine,not a perm'], /- permissions\/1: Use 1 to 128 letters/],
    [['user', 'permissions', 'ada', '--set', 'x y'], /- permissions\/0: Use 1 to 128 letters/],
    [['user', 'permissions', 'ada', '--set', 'x'.repeat(129)], /- permissions\/0: Use/]
  ] as const) {
    const { code, stderr } = await command([...words], environment)
    t.equal(code, 1, words.join(' '))
    t.match(stderr, message)
  }
  t.same(
    (await json('role list')).roles.map(({ name }: { name: string }) => name),
    ['admin']
  )
  t.match(await json('user show ada'), { user: { permissions: [] } })
})
