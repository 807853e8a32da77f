import { readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { auditEvents, logEvents } from '../../src/domain/audit-event.js'
import { freePort } from '../support/service.js'
import { goodPassword, world } from '../support/world.js'

const read = (path: string) => readFileSync(new URL(`../../deploy/${path}`, import.meta.url), 'utf8')

async function measured(t: Parameters<typeof world>[0]) {
  const port = await freePort()
  const w = await world(t, (options) => ({
    ...options,
    metrics: { host: '127.0.0.1', port },
    rateLimits: { ...options.rateLimits, register: { max: 1, window: 60_000 } }
  }))
  return { w, text: () => w.app.metrics.metrics() }
}

const value = (text: string, series: string) =>
  Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${series} `))
      ?.split(' ')[1] ?? Number.NaN
  )

t.test('what happens is counted by the names of the log, and requests by their route', async (t) => {
  const { w, text } = await measured(t)
  const username = await w.account()
  await w.login(username)
  await w.post('/v1/login', { username, password: 'wrong horse battery' })
  t.equal((await w.post('/v1/register', { username: 'another', password: goodPassword })).statusCode, 429)
  await w.get('/nowhere/at/all')
  const said = await text()
  t.equal(value(said, 'keyturn_events_total{event="login.succeeded"}'), 1)
  t.equal(value(said, 'keyturn_events_total{event="login.failed"}'), 1)
  t.equal(value(said, 'keyturn_rate_limited_total{policy="register"}'), 1)
  const count = (labels: string) => value(said, `keyturn_request_duration_seconds_count{${labels}}`)
  t.equal(count('method="POST",route="/v1/login",status="200"'), 1)
  t.equal(count('method="GET",route="none",status="404"'), 1)
  t.notOk(said.includes('nowhere'), 'no path that somebody made up is a label')
  t.equal(value(said, 'keyturn_passwords_waiting'), 0)
  t.ok(value(said, 'keyturn_database_connections{state="idle"}') >= 1)
})

t.test('the dashboard and the alerts name nothing that is not exported', async (t) => {
  const { w, text } = await measured(t)
  const username = await w.account()
  await w.login(username)
  await w.post('/v1/register', { username: 'another', password: goodPassword })
  const names = new Set([...(await text()).matchAll(/^([a-z_0-9]+)(?:\{.*\})? /gm)].map(([, name]) => name!))
  const dashboard = JSON.parse(read('grafana/keyturn.json')) as { panels: { targets: { expr: string }[] }[] }
  const alerts = parse(read('prometheus/alerts.yml')) as { groups: { rules: { expr: string }[] }[] }
  const expressions = [
    ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
    ...alerts.groups.flatMap(({ rules }) => rules.map(({ expr }) => expr))
  ]
  t.ok(expressions.length > 20)
  for (const expression of expressions) {
    const named = expression.replace(/"[^"]*"/g, '').match(/\b(?:keyturn|process|nodejs)_[a-z_0-9]+/g) ?? []
    t.ok(named.length > 0 || expression.startsWith('up{'), expression)
    for (const name of named) t.ok(names.has(name), `${name} is exported`)
  }
})

t.test('each event that they name is one that the service tells', async (t) => {
  const events = [...Object.keys(auditEvents), ...logEvents]
  const text = `${read('grafana/keyturn.json')}${read('prometheus/alerts.yml')}`.replaceAll('\\"', '"')
  for (const [, pattern] of text.matchAll(/event=~?"([^"]+)"/g)) {
    for (const one of pattern!.split('|')) {
      const expression = new RegExp(`^${one}$`)
      t.ok(
        events.some((event) => expression.test(event)),
        one
      )
    }
  }
})
