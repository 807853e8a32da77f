// Processes that are measured: started, watched and ended.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import net from 'node:net'

const running = new Set()

export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

/** Starts a program, and waits until it prints `ready`; tells how long that took. */
export async function start(args, env, ready) {
  const before = performance.now()
  const child = spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  const closed = once(child, 'close').then(() => running.delete(child))
  let output = ''
  await new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text
        if (output.includes(ready)) resolve()
      })
    }
    child.once('exit', (code) => reject(new Error(`${args.join(' ')} ended with ${code}:\n${output}`)))
  })
  return {
    pid: child.pid,
    startMs: performance.now() - before,
    async stop() {
      child.kill('SIGTERM')
      await closed
    }
  }
}

/** Ends whatever still runs; for a run that was interrupted. */
export function stopAll() {
  for (const child of running) child.kill('SIGKILL')
}

/** CPU seconds that a process has used so far, where the system tells. */
export function cpuSeconds(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [, ...fields] = stat.slice(stat.lastIndexOf(')') + 1).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return Number.NaN
  }
}

/** Resident memory in MiB, where the system tells. */
export function residentMiB(pid) {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024
  } catch {
    return Number.NaN
  }
}
