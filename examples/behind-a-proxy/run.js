// Starts Keyturn, the shop and a proxy in front of both, until it is told to stop.
//
//   node run.js nginx|caddy|traefik|envoy
//
// The proxy listens on PROXY_PORT (8080), Keyturn on KEYTURN_PORT (3000), the shop on SHOP_PORT (9000). Keyturn's own
// settings are read from the environment, as ever.
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { answers, root, start, startKeyturn, stop, tellReady } from '../processes.js'

const { PROXY_PORT = '8080', KEYTURN_PORT = '3000', SHOP_PORT = '9000' } = process.env

const scratch = mkdtempSync(join(tmpdir(), 'keyturn-example-'))
// nginx that root started works as `nobody`, who must find its way.
chmodSync(scratch, 0o755)

/** An example's file with the ports of this run, in a folder of this run's own. */
function configuration(folder, name) {
  const text = readFileSync(join(root, 'examples', folder, name), 'utf8')
    .replaceAll('8080', PROXY_PORT)
    .replaceAll('3000', KEYTURN_PORT)
    .replaceAll('9000', SHOP_PORT)
    .replaceAll('/etc/traefik', scratch)
  writeFileSync(join(scratch, name), text)
  return join(scratch, name)
}

/** nginx's own file, around what is included into `http`. */
function nginxMain() {
  const server = configuration('nginx', 'shop.conf')
  for (const name of ['body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']) mkdirSync(join(scratch, name))
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${scratch}/${name.replace('client_', '')};`)
    .join(' ')
  const text = `pid ${scratch}/nginx.pid; error_log stderr; events {}
http { access_log off; ${temporary} include ${server}; }
`
  writeFileSync(join(scratch, 'nginx.conf'), text)
  return join(scratch, 'nginx.conf')
}

const proxies = {
  nginx: {
    test: ['-v'],
    install: 'apt-get install nginx-light',
    words: () => ['-p', scratch, '-c', nginxMain(), '-g', 'daemon off;']
  },
  caddy: {
    test: ['version'],
    install: 'apt-get install caddy',
    words: () => ['run', '--adapter', 'caddyfile', '--config', configuration('caddy', 'Caddyfile')]
  },
  traefik: {
    test: ['version'],
    install: 'https://github.com/traefik/traefik/releases',
    words() {
      configuration('traefik', 'shop.yml')
      return [`--configFile=${configuration('traefik', 'traefik.yml')}`]
    }
  },
  envoy: {
    test: ['--version'],
    install: 'https://www.envoyproxy.io/docs/envoy/latest/start/install',
    words: () => ['--log-level', 'warning', '-c', configuration('envoy', 'envoy.yaml')]
  }
}

process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))

async function main(name) {
  const proxy = proxies[name]
  if (proxy === undefined) throw new Error(`name one of ${Object.keys(proxies).join(', ')}`)
  if (spawnSync(name, proxy.test).status !== 0) throw new Error(`${name} is not installed: ${proxy.install}`)

  const site = `http://localhost:${PROXY_PORT}`
  const keyturn = `http://127.0.0.1:${KEYTURN_PORT}`
  await startKeyturn(KEYTURN_PORT, {
    AUTH_DATA_DIR: process.env.AUTH_DATA_DIR ?? join(root, 'examples', name, '.keyturn'),
    // One host for both, because the session's cookie is for one host.
    AUTH_ISSUER: site,
    AUTH_TRUSTED_PROXIES: '127.0.0.1',
    AUTH_FORWARD_AUTH_AUDIENCE: 'shop',
    AUTH_LOGIN_URL: `${site}/login`,
    AUTH_LOGIN_RETURN_ORIGINS: site
  })
  start(process.execPath, [join(root, 'examples/behind-a-proxy/shop.js')], {
    environment: { PORT: SHOP_PORT, ISSUER: site, KEYTURN: keyturn }
  })
  start(name, proxy.words(), { cwd: scratch })
  await answers(`${site}/login`)
  tellReady(`ready with Keyturn, in front of both: ${site}`)
}

main(process.argv[2]).catch((error) => {
  console.error(error.message)
  stop(1)
})
