import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { contractFault } from './contract.js'

export const main = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))

type Environment = Record<string, string>

/** This process's environment without what would configure the service. */
export function cleanEnvironment(): Environment {
  const ours = /^(AUTH_|DATABASE_URL|PORT$|HOST$|LOG_LEVEL$|NODE_ENV$|TAP|NODE_OPTIONS$)/
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.test(name))) as Environment
}

export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** A folder of a test's own, gone with the test. */
export function scratchFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs one command of the built program to its end. */
export async function keyturn(words: readonly string[], environment: Environment, input = ''): Promise<Outcome> {
  const child = spawn(process.execPath, [main, ...words], { env: { ...cleanEnvironment(), ...environment } })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text
  })
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stdout, stderr }
}

/** Fetches, and holds the answer against openapi.yaml. */
export async function request(url: string, init: RequestInit = {}): Promise<Response> {
  const response = await fetch(url, init)
  const fault = contractFault({
    method: init.method ?? 'GET',
    url: new URL(url).pathname,
    status: response.status,
    contentType: response.headers.get('content-type') ?? undefined,
    body: await response.clone().text()
  })
  if (fault !== undefined) throw new Error(`not what openapi.yaml says: ${fault}`)
  return response
}

export interface Service {
  readonly url: string
  readonly pid: number
  /** What it printed up to now. */
  output(): string
  post(path: string, body?: object, headers?: Environment): Promise<Response>
  kill(signal: NodeJS.Signals): Promise<number | null>
}

/** Starts the built service as a process of its own, and waits until it says that it is ready. */
export function startService(t: Test, environment: Environment): Promise<Service> {
  return startProcess(t, [main, 'serve'], environment)
}

/** The same for another program that says `ready in`. */
export async function startProcess(t: Test, words: readonly string[], environment: Environment): Promise<Service> {
  const port = environment.PORT ?? String(await freePort())
  const url = `http://localhost:${port}`
  const child: ChildProcess = spawn(process.execPath, words, {
    env: { ...cleanEnvironment(), PORT: port, ...environment },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  const closed = once(child, 'close') as Promise<[number | null]>
  const ready = new Promise<void>((resolve) => {
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text
        if (output.includes('ready in')) resolve()
      })
    }
  })
  const kill = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    return (await closed)[0]
  }
  t.teardown(() => kill('SIGTERM'))
  await Promise.race([ready, closed])
  if (child.exitCode !== null) throw new Error(`the service did not start:\n${output}`)
  return {
    url,
    pid: child.pid!,
    output: () => output,
    post: (path, body = {}, headers = {}) =>
      request(url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body)
      }),
    kill
  }
}
