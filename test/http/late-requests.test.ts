import { EventEmitter, once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import fp from 'fastify-plugin'
import pg from 'pg'
import t, { type Test } from 'tap'
import { until } from '../support/until.js'
import { type World, world } from '../support/world.js'

/** A refresh as it stands on the wire, in the two parts that may come at different times. */
function refreshOf(path: string, token: string): { head: string; body: string } {
  const isForm = path.startsWith('/oauth')
  const member = path.startsWith('/api') ? 'refresh' : 'refresh_token'
  const body = isForm
    ? new URLSearchParams({ grant_type: 'refresh_token', client_id: 'web', refresh_token: token }).toString()
    : JSON.stringify({ [member]: token })
  const type = isForm ? 'application/x-www-form-urlencoded' : 'application/json'
  const lines = [`POST ${path} HTTP/1.1`, 'host: auth.test', `content-type: ${type}`, `content-length: ${body.length}`]
  return { head: `${lines.join('\r\n')}\r\nconnection: close\r\n\r\n`, body }
}

async function connection(w: World) {
  const { port } = w.app.server.address() as AddressInfo
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

const faces = ['/v1/refresh', '/oauth/token', '/api/token/refresh/']
const rotating = (w: World, token: string) => w.refresh(token).then((answer) => answer.json().refresh_token as string)

async function serving(t: Test, trustedProxies: readonly string[] = []) {
  const arrivals = new EventEmitter()
  const answers = new EventEmitter()
  const before = fp(async (app) => {
    app.addHook('preParsing', async ({ url }) => void arrivals.emit(url))
    app.addHook('onSend', async ({ url }, reply) => void answers.emit(url, reply.statusCode))
  })
  const w = await world(t, (options) => ({
    ...options,
    before,
    trustedProxies,
    drf: { ...options.drf!, rotate: true }
  }))
  await w.app.listen({ host: '127.0.0.1', port: 0 })
  /** The status of the next answer to a request of this path, whether or not anybody is there to get it. */
  const nextAnswer = async (path: string) => (await once(answers, path))[0] as number
  /** Until the head of a request of this path is here, and its body is waited for. */
  const nextArrival = (path: string) => once(arrivals, path)
  return { ...w, nextArrival, nextAnswer }
}

for (const path of faces) {
  t.test(
    `${path}: a request that came before its token was rotated, and was heard after that, ends nothing`,
    async (t) => {
      const w = await serving(t)
      const { refresh_token: old } = await w.login(await w.account())
      const socket = await connection(w)
      const arrived = w.nextArrival(path)
      const { head, body } = refreshOf(path, old)
      socket.write(head)
      await arrived
      w.wait(1_000)
      const current = await rotating(w, await rotating(w, old))
      const answer = w.nextAnswer(path)
      socket.write(body)
      t.equal(await answer, 503)
      t.equal((await w.refresh(current)).statusCode, 200, 'whoever is honest goes on')
    }
  )

  t.test(`${path}: a request whose sender has hung up ends nothing`, async (t) => {
    const w = await serving(t)
    const { refresh_token: old } = await w.login(await w.account())
    const current = await rotating(w, await rotating(w, old))
    w.wait(1_000)
    const socket = await connection(w)
    const { head, body } = refreshOf(path, old)
    const answer = w.nextAnswer(path)
    socket.end(head + body)
    t.equal(await answer, 503)
    t.equal((await w.refresh(current)).statusCode, 200, 'whoever is honest goes on')
  })

  t.test(`${path}: the same request, whose sender waits for the answer, is a copy`, async (t) => {
    const w = await serving(t)
    const { refresh_token: old } = await w.login(await w.account())
    const current = await rotating(w, await rotating(w, old))
    const socket = await connection(w)
    const { head, body } = refreshOf(path, old)
    const answer = w.nextAnswer(path)
    socket.write(head + body)
    t.equal(await answer, path === '/oauth/token' ? 400 : 401)
    t.equal((await w.refresh(current)).statusCode, 401, 'and ends the session')
  })
}

for (const proxies of [[], ['127.0.0.1']]) {
  const behind = proxies.length === 0 ? 'nothing' : 'a proxy that is trusted'
  t.test(
    `behind ${behind}: what somebody asks for who hangs up is done, and written down with its sender`,
    async (t) => {
      const w = await serving(t, proxies)
      const { access_token: token } = await w.login(await w.account())
      const made = await w.post('/v1/tokens', { name: 'lost' }, { authorization: `Bearer ${token}` })
      const { id } = made.json().token
      const path = `/v1/tokens/${id}`
      const gate = new pg.Client({ connectionString: w.url })
      await gate.connect()
      t.teardown(() => gate.end())
      await gate.query('begin')
      await gate.query('select from api_token where id = $1 for update', [id])

      const socket = await connection(w)
      const answer = w.nextAnswer(path)
      socket.write(`DELETE ${path} HTTP/1.1\r\nhost: auth.test\r\nauthorization: Bearer ${token}\r\n\r\n`)
      const isHeldUp = async () => {
        const { rows } = await gate.query(`select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`)
        return rows.length > 0
      }
      t.ok(await until(isHeldUp))
      socket.destroy()
      const connections = () => new Promise<number>((resolve) => w.app.server.getConnections((_, n) => resolve(n)))
      t.ok(await until(async () => (await connections()) === 0))
      await gate.query('commit')

      t.equal(await answer, 204)
      const { rows } = await gate.query(
        `select host(address) as address from audit_event where event = 'api_token.removed'`
      )
      t.same(rows, [{ address: '127.0.0.1' }])
    }
  )
}
