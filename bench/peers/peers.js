// What one would use instead. Each peer is installed, started on a database of its own, and says how it is asked for what
// Keyturn is asked for, where it can be.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { json } from '../lib/keyturn.js'
import { freePort, start } from '../lib/processes.js'
import { installFromDebian, installFromNpm } from './install.js'

const exec = promisify(execFile)
const password = 'correct horse battery'
const post = (path, body = '{value}') => ({ method: 'POST', path, headers: json, body })
const crowd = Array.from({ length: 32 }, (_, n) => n)

async function startNode(program, url) {
  const port = await freePort()
  const { pid, stop } = await start([program], { PORT: String(port), DATABASE_URL: url }, 'listening')
  return { ports: [port], pids: [pid], stop, url: `http://127.0.0.1:${port}` }
}

async function ask(url, body, headers = {}) {
  const response = await fetch(url, { method: 'POST', headers: { ...json, ...headers }, body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`)
  return await response.json()
}

/** Takes from what was made ahead, and says so where it is used up. */
const taker = (tokens) => (count) => {
  if (tokens.length < count) throw new Error(`${count} tokens are asked for, and ${tokens.length} are left`)
  return tokens.splice(0, count)
}

const handWritten = {
  groups: ['login', 'refresh'],
  install: () => ({ version: 'Fastify, @fastify/jwt, pg' }),
  async start(_installed, { url, sessions }) {
    const program = fileURLToPath(new URL('./hand-written.js', import.meta.url))
    const service = await startNode(program, url)
    const seeded = await ask(`${service.url}/seed`, { sessions })
    const take = taker(Array.from({ length: sessions }, (_, n) => `${seeded.prefix}${n}`))
    return {
      service,
      loginBesideHash: () => ({
        service,
        request: post('/login'),
        values: crowd.map((n) => JSON.stringify({ username: `user-${n + 1}`, password }))
      }),
      refresh: (clients) => ({
        service,
        request: post('/refresh', '{"refresh_token":"{value}"}'),
        values: take(clients),
        carry: 'refresh_token'
      })
    }
  }
}

const betterAuth = {
  groups: ['login', 'refresh'],
  install: () =>
    installFromNpm(
      'better-auth',
      { 'better-auth': '1.7.25', '@node-rs/argon2': '^2.2.1', pg: '^8.23.1' },
      './better-auth.js'
    ),
  async start({ program }, { url }) {
    const service = await startNode(program, url)
    const headers = { origin: service.url }
    const credentials = crowd.map((n) => ({ email: `user-${n}@peer.bench`, password }))
    const tokens = []
    for (const one of credentials) {
      tokens.push((await ask(`${service.url}/api/auth/sign-up/email`, { ...one, name: 'user' }, headers)).token)
    }
    return {
      service,
      login: () => ({
        service,
        request: { ...post('/api/auth/sign-in/email'), headers: { ...json, ...headers } },
        values: credentials.map((one) => JSON.stringify(one))
      }),
      /** It does not rotate: a session that is kept is traded for a JWT. */
      refresh: () => ({
        service,
        request: { path: '/api/auth/token', headers: { ...headers, authorization: 'Bearer {value}' } },
        values: tokens
      })
    }
  }
}

const oidcProvider = {
  groups: ['refresh', 'introspect'],
  install: () => installFromNpm('oidc-provider', { 'oidc-provider': '9.13.3', pg: '^8.23.1' }, './oidc-provider.js'),
  async start({ program }, { url }) {
    const service = await startNode(program, url)
    const headers = {
      'content-type': 'application/x-www-form-urlencoded',
      authorization: `Basic ${Buffer.from('bench:secret').toString('base64')}`
    }
    const { refresh_tokens: tokens } = await ask(`${service.url}/bench/sign-in?count=1000`, {})
    const take = taker(tokens)
    const kept = take(1)[0]
    return {
      service,
      refresh: (clients) => ({
        service,
        request: { method: 'POST', path: '/token', headers, body: 'grant_type=refresh_token&refresh_token={value}' },
        values: take(clients),
        carry: 'refresh_token'
      }),
      introspect: () => ({
        service,
        request: { method: 'POST', path: '/token/introspection', headers, body: `token=${kept}` }
      })
    }
  }
}

const drf = {
  groups: ['login', 'refresh', 'introspect', 'logout'],
  install: () => installFromDebian('./django/install.sh'),
  async start(_installed, { url, rounds, seconds }) {
    const cwd = fileURLToPath(new URL('./django/', import.meta.url))
    const env = { DATABASE_URL: url, PYTHONDONTWRITEBYTECODE: '1' }
    const mostLogouts = 1_500
    const count = Math.ceil((rounds + 1) * (100 + mostLogouts * seconds))
    const { stdout } = await exec('/usr/bin/python3', ['service.py', 'prepare', String(count)], {
      cwd,
      env: { ...process.env, ...env },
      maxBuffer: 2 ** 30
    })
    const take = taker(stdout.trim().split('\n'))
    const port = await freePort()
    const workers = ['--worker-class', 'gthread', '--workers', '3', '--threads', '4', '--keep-alive', '75']
    const { pid, stop } = await start(
      ['-m', 'gunicorn', '--bind', `127.0.0.1:${port}`, ...workers, 'service:application'],
      env,
      'Booting worker',
      { command: '/usr/bin/python3', cwd }
    )
    const service = { ports: [port], pids: [pid], stop }
    const kept = take(1)[0]
    return {
      service,
      mostLogouts,
      login: () => ({
        service,
        request: post('/api/token/'),
        values: crowd.map((n) => JSON.stringify({ username: `user-${n}`, password }))
      }),
      refresh: (clients) => ({
        service,
        request: post('/api/token/refresh/', '{"refresh":"{value}"}'),
        values: take(clients),
        carry: 'refresh'
      }),
      introspect: () => ({ service, request: post('/api/token/verify/', `{"token":"${kept}"}`) }),
      logout: (most) => ({
        service,
        request: post('/api/token/blacklist/', '{"refresh":"{value}"}'),
        values: take(most),
        take: 'once'
      })
    }
  }
}

const peers = { 'hand-written': handWritten, 'better-auth': betterAuth, 'oidc-provider': oidcProvider, DRF: drf }

/**
 * Starts those of the peers that the chosen groups need. One that cannot be had is left out, and it is said why: a machine
 * without a network can still measure the rest.
 */
export async function startPeers(names, chosen, { database, ...size }) {
  const all = []
  const started = []
  for (const name of names ?? Object.keys(peers)) {
    const peer = peers[name]
    if (!peer.groups.some((group) => chosen.includes(group))) continue
    let installed
    try {
      installed = await peer.install()
    } catch (error) {
      const because = (error.stderr || error.message).trim().split('\n').at(-1)
      console.error(`${name} is left out, since it could not be installed: ${because}`)
      all.push({ name, because })
      continue
    }
    const url = await database(`peer_${name.toLowerCase().replace('-', '_')}`)
    const { service, ...loads } = await peer.start(installed, { url, ...size })
    all.push({ name, version: installed.version })
    started.push({ name, stop: service.stop, ...loads })
  }
  return { all, started }
}
