import pg from 'pg'
import t from 'tap'
import { terminal } from '../support/terminal.js'
import { goodPassword } from '../support/world.js'

t.test('events are exported, as lines of JSON or of CSV, from a moment on', async (t) => {
  const { run, json } = await terminal(t)
  const { user } = await json('user create ada', goodPassword)
  await run('user disable ada')
  const lines = (await run(`audit export --since 1h --account ${user.id}`)).stdout.trim().split('\n')
  t.match(
    lines.map((line) => JSON.parse(line)),
    [
      { event: 'account.created', account_id: user.id, source: 'command', outcome: 'success' },
      { event: 'user.disabled', account_id: user.id, source: 'command', actor_id: null }
    ]
  )
  const csv = (await run('audit export --event account.created --format csv')).stdout.trim().split('\n')
  t.equal(
    csv[0],
    'id,happened_at,event,outcome,reason,account_id,actor_id,session_id,client_id,source,address,user_agent,amr,details'
  )
  t.match(csv[1], /,account\.created,success,,[0-9a-f-]{36},,,,command,,,\[\],"\{""roles"":\[\],""invited"":false\}"$/)
  t.equal((await run('audit export --until 2000-01-01')).stdout, '')
  const read = (await run('audit export --event audit.read')).stdout.trim().split('\n')
  t.match(JSON.parse(read[0]!), { event: 'audit.read', source: 'command', details: { filter: { account: user.id } } })
})

t.test('what a browser calls itself is no formula in a spreadsheet, and breaks no line', async (t) => {
  const { run, environment } = await terminal(t)
  const client = new pg.Client({ connectionString: environment.DATABASE_URL })
  await client.connect()
  for (const agent of ['=1+1', 'Check/1, "the" one']) {
    await client.query(
      `insert into audit_event (id, event, outcome, happened_at, source, user_agent)
      values (gen_random_uuid(), 'login.failed', 'failure', now(), 'request', $1)`,
      [agent]
    )
  }
  await client.end()
  const { stdout } = await run('audit export --format csv --event login.failed')
  t.match(stdout, /,request,,'=1\+1,\[\],\{\}\n/)
  t.match(stdout, /,request,,"Check\/1, ""the"" one",\[\],\{\}\n/)
})

t.test('called wrongly, it says how', async (t) => {
  const { run } = await terminal(t)
  for (const [line, sentence] of [
    ['audit export --since yesterday', /--since is a date such as 2030-01-31/],
    ['audit export --format xml', /--format is jsonl or csv/],
    ['audit export --outcome bad', /--outcome is success or failure/],
    ['audit export --event nonsense', /There is no such event: docs\/audit\.md lists them/],
    ['audit verify --head 12', /--head is what an earlier `keyturn audit verify` printed/]
  ] as const) {
    const { code, stderr } = await run(line)
    t.not(code, 0, line)
    t.match(stderr, sentence)
  }
})

t.test('the chain is verified, and whoever noted its head says so', async (t) => {
  const { run, json } = await terminal(t, { AUTH_AUDIT_CHAIN: 'on' })
  await run('user create ada', goodPassword)
  const first = await json('audit verify')
  t.match(first, { broken: null, unlinked: 0, unchained: 0, head: /^2:[0-9a-f]{64}$/ })
  await run('user disable ada')
  t.match(await run(`audit verify --head ${first.head}`), { code: 0, stdout: /^Intact: 3 event\(s\)[\s\S]*\nHead: 3:/ })
  const other = `2:${'0'.repeat(64)}`
  t.match(await run(`audit verify --head ${other}`), { code: 1, stdout: /^BROKEN at position 2: what stands there/ })
})
