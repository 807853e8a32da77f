// Processes that are measured: started, watched and ended.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import net from 'node:net'

/** Of the environment, all but settings of Keyturn: what is measured are its defaults. */
const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('AUTH_')))

const running = new Set()
/** What the processes said last, by their command; for a run that failed. */
const lastWords = new Map()

export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

/** Starts a program of Node, or another `command`, and waits until it prints `ready`; tells how long that took. */
export async function start(args, env, ready, { command = process.execPath, cwd } = {}) {
  const before = performance.now()
  const child = spawn(command, args, { cwd, env: { ...inherited, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  const closed = once(child, 'close').then(() => running.delete(child))
  let output = ''
  let isReady = false
  await new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output = (output + text).slice(-20_000)
        lastWords.set(child, `${args.join(' ')}:\n${output.slice(-2_000)}`)
        if (isReady || !output.includes(ready)) return
        isReady = true
        resolve()
      })
    }
    child.once('error', reject)
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

export const allLastWords = () => [...lastWords.values()].join('\n')

/** The fields of a process after its name: state, parent and so on (proc(5)). */
function stat(pid) {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

/** The processes with all their descendants; none where the system does not tell. */
function family(pids) {
  const children = new Map()
  try {
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue
      try {
        const parent = Number(stat(name)[1])
        children.set(parent, [...(children.get(parent) ?? []), Number(name)])
      } catch {
        // It ended meanwhile.
      }
    }
  } catch {
    return []
  }
  const found = [...pids]
  for (const pid of found) found.push(...(children.get(pid) ?? []))
  return found
}

const microsPerTick = 10_000

/** CPU that the processes, their descendants and those that have ended among them have used so far; NaN if unknown. */
export function cpuMicros(pids) {
  const all = family(pids)
  if (all.length === 0) return Number.NaN
  let ticks = 0
  for (const pid of all) {
    try {
      const fields = stat(pid)
      ticks += Number(fields[11]) + Number(fields[12])
      if (pids.includes(pid)) ticks += Number(fields[13]) + Number(fields[14])
    } catch {
      // It ended meanwhile; its parent has its time.
    }
  }
  return ticks * microsPerTick
}

/** Memory of the processes with their descendants, where what they share is counted once (PSS), in MiB; NaN if unknown. */
export function pssMiB(pids) {
  let kib = Number.NaN
  for (const pid of family(pids)) {
    try {
      const [, text] = /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))
      kib = (Number.isNaN(kib) ? 0 : kib) + Number(text)
    } catch {
      // It ended meanwhile.
    }
  }
  return kib / 1024
}

/** Microseconds for which the machine's cores were busy so far, with whatever it was; NaN if unknown. */
export function machineMicros() {
  try {
    const [user, nice, system, , , irq, softirq, steal] = readFileSync('/proc/stat', 'utf8')
      .split('\n', 1)[0]
      .split(/ +/)
      .slice(1)
      .map(Number)
    return (user + nice + system + irq + softirq + steal) * microsPerTick
  } catch {
    return Number.NaN
  }
}
