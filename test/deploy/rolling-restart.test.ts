import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { hasNginx, nginx } from '../support/nginx.js'
import { freshDatabase } from '../support/postgres.js'
import { freePort, scratchFolder, startService } from '../support/service.js'
import { goodPassword, type Tokens } from '../support/world.js'

/** Milliseconds for which a replica that is told to stop goes on. */
const grace = 1_000
const clients = 4

t.test(
  'two replicas behind nginx, under load, are restarted one after the other, and no request is lost',
  { skip: hasNginx ? false : 'nginx is not installed: apt-get install nginx-light' },
  async (t) => {
    const { url } = await freshDatabase(t)
    const settings = {
      DATABASE_URL: url,
      AUTH_ISSUER: 'https://auth.test',
      AUTH_MASTER_KEY: randomBytes(32).toString('base64'),
      AUTH_DATA_DIR: scratchFolder(t),
      AUTH_TRUSTED_PROXIES: '127.0.0.1',
      AUTH_RATE_LIMIT: 'off',
      // What a slow machine has no time for is another matter than what a restart loses.
      AUTH_DATABASE_TIMEOUT: '15000',
      AUTH_OVERLOAD_DELAY: 'off',
      AUTH_SHUTDOWN_GRACE: `${grace / 1000}s`
    }
    const ports = [String(await freePort()), String(await freePort())] as const
    const start = (PORT: string) => startService(t, { ...settings, PORT })
    const first = await start(ports[0])
    const replicas = [first, await start(ports[1])]
    const proxy = await nginx(t, replicas)

    const post = (path: string, body: object) =>
      fetch(proxy + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body)
      })
    let isOver = false
    let done = 0
    const failures: string[] = []
    async function client(username: string): Promise<void> {
      t.equal((await post('/v1/register', { username, password: goodPassword })).status, 201)
      const login = await post('/v1/login', { username, password: goodPassword })
      t.equal(login.status, 200)
      let tokens = (await login.json()) as Tokens
      while (!isOver) {
        const headers = { authorization: `Bearer ${tokens.access_token}` }
        for (const ask of [
          () => post('/v1/refresh', { refresh_token: tokens.refresh_token }),
          () => fetch(`${proxy}/v1/me`, { headers })
        ]) {
          try {
            const answer = await ask()
            const text = await answer.text()
            if (answer.status !== 200) failures.push(`${answer.status} ${text}`)
            else if (text.includes('refresh_token')) tokens = JSON.parse(text)
            done++
          } catch (error) {
            failures.push(String(error))
          }
        }
      }
    }
    const load = Promise.all(Array.from({ length: clients }, (_, n) => client(`user-${n}`)))

    /** Until the proxy has passed on to a replica what its clients sent: it looks at one that was away after two seconds. */
    async function isUsed(n: number): Promise<void> {
      while (!replicas[n]!.output().includes('"route":"/v1/refresh"')) await delay(50)
    }
    for (const n of [0, 1]) {
      await isUsed(n)
      const before = done
      t.equal(await replicas[n]!.kill('SIGTERM'), 0, 'it ends by itself')
      t.ok(done > before, 'while the others go on')
      replicas[n] = await start(ports[n]!)
      await isUsed(n)
    }
    isOver = true
    await load
    t.same(failures, [], `of ${done} requests`)
    t.ok(done > 100, `${done} requests`)
    t.comment(`${done} requests, ${failures.length} lost`)
  }
)
