// What examples share: programs that start together and end together.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

/** How each is told to end. */
const children = new Map()
let stopping = false

/**
 * Starts a program. Where it ends by itself, all end. `isLauncher`: it starts another, which is told to end as well.
 */
export function start(command, words, { cwd = root, environment = {}, isLauncher = false } = {}) {
  const env = { ...process.env, ...environment }
  const child = spawn(command, words, { cwd, stdio: 'inherit', env, detached: isLauncher })
  const hasGroup = isLauncher && child.pid !== undefined
  children.set(child, () => (hasGroup ? process.kill(-child.pid, 'SIGTERM') : child.kill('SIGTERM')))
  child.on('close', (code) => {
    children.delete(child)
    if (!stopping) {
      console.error(`${command} ended with ${code}`)
      stop(1)
    }
  })
  child.on('error', (error) => {
    console.error(error.message)
    stop(1)
  })
}

export function stop(code) {
  if (stopping) return
  stopping = true
  process.exitCode = code
  for (const end of children.values()) end()
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stop(0))

/** Waits until an address answers well. Throws where it does not within a minute. */
export async function answers(url) {
  for (let tries = 0; tries < 600 && !stopping; tries++) {
    const isThere = await fetch(url).then(
      (response) => response.ok,
      () => false
    )
    if (isThere) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  if (!stopping) throw new Error(`${url} does not answer`)
}

/** Tells that all is there. */
export function tellReady(sentence) {
  if (!stopping) console.log(sentence)
}

/** Keyturn on a port of this machine, built where it is not yet. */
export async function startKeyturn(port, environment) {
  const program = join(root, 'dist/src/cli/main.js')
  if (![program, join(root, 'packages/verifier/dist'), join(root, 'packages/client/dist')].every(existsSync)) {
    spawnSync(process.execPath, [join(root, 'scripts/build.js'), '--packages'], { stdio: 'inherit' })
  }
  start(process.execPath, [program, 'serve'], { environment: { HOST: '127.0.0.1', PORT: port, ...environment } })
  await answers(`http://127.0.0.1:${port}/readyz`)
}
