import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { freshDatabase } from './postgres.js'
import { cleanEnvironment, type Outcome, scratchFolder } from './service.js'

let host: ChildProcess | undefined
let asked = 0

/** Runs one command of the built program, in a process that has run others: to load it takes longer than most commands. */
export async function command(
  words: readonly string[],
  environment: Record<string, string>,
  input = ''
): Promise<Outcome> {
  if (host === undefined) {
    host = fork(fileURLToPath(new URL('./command-host.js', import.meta.url)), { env: cleanEnvironment() })
    host.unref()
  }
  const running = host
  const id = asked++
  running.channel?.ref()
  return await new Promise((resolve, reject) => {
    const ended = (code: number | null) => reject(new Error(`the program ended with ${code}`))
    const answer = (message: { id: number; outcome: Outcome }) => {
      if (message.id !== id) return
      running.off('message', answer).off('exit', ended)
      if (running.listenerCount('message') === 0) running.channel?.unref()
      resolve(message.outcome)
    }
    running.on('message', answer).on('exit', ended)
    running.send({ id, words, environment: { ...cleanEnvironment(), ...environment }, input })
  })
}

/** The built program in a terminal, with a database of the test's own. */
export async function terminal(t: Test, more: Record<string, string> = {}) {
  const { url } = await freshDatabase(t)
  const environment = { DATABASE_URL: url, AUTH_DATA_DIR: join(scratchFolder(t), 'data'), ...more }
  const run = (line: string, input = '') => command(line.split(' '), environment, input)
  const json = async (line: string, input = '') => JSON.parse((await run(`${line} --json`, input)).stdout)
  return { environment, run, json }
}
