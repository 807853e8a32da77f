// nginx in front of the replicas, with the server block of deploy/nginx but for TLS.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../../bench/lib/processes.js'
import { send } from './http.js'

/** Undefined where nginx is not installed. */
export async function startProxy(folder, replicas) {
  if (spawnSync('nginx', ['-v']).status !== 0) return undefined
  mkdirSync(folder)
  // nginx as root works as `nobody`, who must find its way.
  chmodSync(folder, 0o755)
  const port = await freePort()
  const [one, two] = replicas.map((replica) => `${replica.host}:${replica.port}`)
  const server = readFileSync(new URL('../../deploy/nginx/keyturn.conf', import.meta.url), 'utf8')
    .replace('127.0.0.1:3001', one)
    .replace('127.0.0.1:3002', two)
    .replace('listen 443 ssl;', `listen 127.0.0.1:${port};`)
    .replace(/^ *(http2 on|ssl_certificate\w*) *.*;$/gm, '')
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  for (const name of temporary) mkdirSync(join(folder, name))
  const errors = join(folder, 'error.log')
  writeFileSync(
    join(folder, 'nginx.conf'),
    `pid ${folder}/pid; error_log ${errors}; worker_processes 1; worker_rlimit_nofile 20000;
     events { worker_connections 8000; } http { access_log off;
     ${temporary.map((name) => `${name}_temp_path ${join(folder, name)};`).join(' ')}
     ${server} }`
  )
  let child
  let closed
  const proxy = {
    name: 'the proxy',
    host: '127.0.0.1',
    port,
    async start() {
      // A group of its own, so that SIGKILL ends its workers too.
      child = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-g', 'daemon off;'], {
        stdio: 'ignore',
        detached: true
      })
      closed = once(child, 'close')
      for (const deadline = performance.now() + 10_000; ; ) {
        if (await send(proxy, { method: 'GET', path: '/livez' }).catch(() => undefined)) return
        if (performance.now() > deadline || child.exitCode !== null) {
          throw new Error(`nginx does not answer: ${readFileSync(errors, 'utf8')}`)
        }
        await delay(20)
      }
    },
    async kill(signal) {
      if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, signal)
      await closed
    }
  }
  await proxy.start()
  return proxy
}
