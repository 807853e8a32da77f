import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { freePort, request, type Service, scratchFolder } from './service.js'

export const hasNginx = spawnSync('nginx', ['-v']).status === 0

/** nginx with the server block that deploy/nginx has, but for TLS, in front of two replicas. */
export async function nginx(t: Test, replicas: readonly Service[]): Promise<string> {
  const folder = scratchFolder(t)
  // nginx as root works as `nobody`, who must find its way.
  chmodSync(folder, 0o755)
  const port = await freePort()
  const [one, two] = replicas.map(({ url }) => new URL(url).host.replace('localhost', '127.0.0.1'))
  const server = readFileSync(new URL('../../deploy/nginx/keyturn.conf', import.meta.url), 'utf8')
    .replace('127.0.0.1:3001', one!)
    .replace('127.0.0.1:3002', two!)
    .replace('listen 443 ssl;', `listen 127.0.0.1:${port};`)
    .replace(/^ *(http2 on|ssl_certificate\w*) *.*;$/gm, '')
  for (const name of ['body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']) mkdirSync(join(folder, name))
  writeFileSync(
    join(folder, 'nginx.conf'),
    `pid ${folder}/pid; error_log ${folder}/error.log; events {} http { access_log off;
     client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
     uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
     ${server} }`
  )
  const child = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-g', 'daemon off;'], {
    stdio: 'inherit'
  })
  const closed = once(child, 'close')
  const errors = () => readFileSync(join(folder, 'error.log'), 'utf8')
  t.teardown(async () => {
    child.kill('SIGTERM')
    await closed
    if (!t.passing()) t.comment(`what nginx says of it: ${errors()}`)
  })
  const url = `http://127.0.0.1:${port}`
  const deadline = Date.now() + 10_000
  while (
    !(await request(`${url}/livez`).then(
      (response) => response.ok,
      () => false
    ))
  ) {
    if (Date.now() > deadline) throw new Error(`nginx does not answer: ${errors()}`)
  }
  return url
}
