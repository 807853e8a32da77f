import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { freshDatabase } from './postgres.js'
import { cleanEnvironment, freePort, scratchFolder } from './service.js'

const examples = fileURLToPath(new URL('../../examples/', import.meta.url))

/** The variables by which an example is told its ports. */
type Port = 'KEYTURN_PORT' | 'FASTIFY_PORT' | 'EXPRESS_PORT' | 'DJANGO_PORT' | 'SPA_PORT' | 'PROXY_PORT' | 'SHOP_PORT'

export interface Example {
  /** Where something of the example listens. */
  at(port: Port): string
}

/**
 * Starts an example as people do, by its one command, on ports of its own, and waits until it says that it is ready.
 * `database`: one that the test has made.
 */
export async function startExample(t: Test, name: string, ports: readonly Port[], database?: string): Promise<Example> {
  const numbers: Partial<Record<Port, string>> = {}
  for (const port of ports) numbers[port] = String(await freePort())
  const child = spawn('sh', [join(examples, name, 'run.sh')], {
    env: {
      ...cleanEnvironment(),
      DATABASE_URL: database ?? (await freshDatabase(t)).url,
      AUTH_DATA_DIR: join(scratchFolder(t), 'data'),
      ...numbers,
      SPA_SERVER: process.env.SPA_SERVER ?? ''
    },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const closed = once(child, 'close')
  t.teardown(async () => {
    child.kill('SIGTERM')
    await closed
  })
  let output = ''
  const ready = new Promise<void>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text
        if (output.includes('ready with Keyturn')) resolve()
      })
    }
  })
  await Promise.race([ready, closed])
  if (child.exitCode !== null) throw new Error(`the example did not start:\n${output}`)
  return { at: (port) => `http://localhost:${numbers[port]}` }
}

/** What the shell session of an example's README prints, run word for word. */
export async function runSession(name: string, environment: Record<string, string>): Promise<string> {
  const readme = readFileSync(join(examples, name, 'README.md'), 'utf8')
  const [, session] = /```bash\n([\s\S]*?)```/.exec(readme)!
  // It waits for a sign-out to be known: where that never happens, it ends and says less than it should.
  const shell = spawn('bash', ['-euo', 'pipefail'], { env: { ...process.env, ...environment }, timeout: 20_000 })
  let output = ''
  for (const stream of [shell.stdout, shell.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  }
  shell.stdin.end(session)
  await once(shell, 'close')
  return output.trim()
}

interface Sent {
  readonly body?: object
  readonly token?: string
}

/** Sends JSON, and reads what comes as JSON, null where nothing does. */
export async function send(url: string, method: string, { body, token }: Sent = {}) {
  const response = await fetch(url, {
    method,
    headers: {
      ...(body && { 'content-type': 'application/json' }),
      ...(token && { authorization: `Bearer ${token}` })
    },
    ...(body && { body: JSON.stringify(body) })
  })
  const text = await response.text()
  const { status, headers } = response
  return { status, headers, body: text === '' ? null : JSON.parse(text) }
}
