import { mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessMark {
  readonly pid: number
  /** When the process started, in the system's own words; empty where the system does not tell. */
  readonly started: string
}

/** The mark of a running process; undefined when there is none, or only its zombie. */
export function processMark(pid: number): ProcessMark | undefined {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined
  if (process.platform === 'linux') {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      // The second field, the name, may hold blanks and brackets: count from its end.
      const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return state === 'Z' || state === 'X' ? undefined : { pid, started: rest[18] ?? '' }
    } catch {
      return undefined
    }
  }
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return undefined
  }
  return { pid, started: '' }
}

export function isRunning({ pid, started }: ProcessMark): boolean {
  return processMark(pid)?.started === started
}

/** Reads a mark that `writeMark` or `withLock` wrote; undefined when there is none or it is half-written. */
export function readMark(file: string): ProcessMark | undefined {
  try {
    const { pid, started } = JSON.parse(readFileSync(file, 'utf8'))
    return typeof pid === 'number' && typeof started === 'string' ? { pid, started } : undefined
  } catch {
    return undefined
  }
}

export function writeMark(file: string): void {
  const next = `${file}.${process.pid}`
  writeFileSync(next, JSON.stringify(processMark(process.pid)), { mode: 0o644 })
  renameSync(next, file)
}

/** Whether a process is gone within `patience` milliseconds. */
export async function goneWithin(pid: number, patience: number): Promise<boolean> {
  const deadline = Date.now() + patience
  while (processMark(pid) !== undefined) {
    if (Date.now() > deadline) return false
    await delay(10)
  }
  return true
}

/** Milliseconds after which a lock without a readable owner counts as left behind: writing one takes microseconds. */
const orphanAge = 5_000

function olderThan(path: string, age: number): boolean {
  try {
    return Date.now() - statSync(path).mtimeMs > age
  } catch {
    return false
  }
}

function isAbandoned(file: string): boolean {
  const holder = readMark(file)
  return holder === undefined ? olderThan(file, orphanAge) : !isRunning(holder)
}

/** Removes a lock whose holder died. */
function breakLock(file: string): void {
  const breaking = `${file}.breaking`
  try {
    // One at a time: a second breaker, late, would remove the lock that the first one took meanwhile.
    mkdirSync(breaking)
  } catch {
    if (olderThan(breaking, orphanAge)) rmdirSync(breaking)
    return
  }
  try {
    if (isAbandoned(file)) rmSync(file, { force: true })
  } finally {
    rmdirSync(breaking)
  }
}

/** Does `work` while no other process on this machine does any under the same file. Waits 60 seconds at most. */
export async function withLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + 60_000
  for (;;) {
    try {
      writeFileSync(file, JSON.stringify(processMark(process.pid)), { mode: 0o644, flag: 'wx' })
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    if (isAbandoned(file)) breakLock(file)
    else if (Date.now() > deadline) {
      throw new Error(
        `${file} is held by process ${readMark(file)?.pid}, which has been starting for a minute. Stop it.`
      )
    } else await delay(20)
  }
  try {
    return await work()
  } finally {
    rmSync(file, { force: true })
  }
}
