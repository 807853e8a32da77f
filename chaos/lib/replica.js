// A replica of the built service: a process of its own, with a link to the database and a network, each of which can break.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../bench/lib/processes.js'
import { openLink } from './link.js'
import { openForwarded, openNamespace } from './network.js'

export const main = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))
const shiftClock = new URL('./shift-clock.js', import.meta.url).href

/** `database` tells where the database is now, `urlAt(address)` its URL there. */
export async function openReplica({ name, number, hasNamespaces, environment, database, urlAt }) {
  const port = await freePort()
  let link
  const network = hasNamespaces ? openNamespace(number) : await openForwarded(port, () => link)
  try {
    link = await openLink(database, network.outside)
  } catch (error) {
    network.close()
    throw error
  }
  let child
  let closed
  const replica = {
    name,
    /** Where clients and the proxy find it. */
    ...network.door(port),
    link,
    network,
    /** What it logged as unexpected. */
    errors: [],
    /** Starts it, its clock off by so many milliseconds, with other settings where they are given. */
    async start({ shift = 0, settings = {} } = {}) {
      const shifted = shift === 0 ? {} : { NODE_OPTIONS: `--import=${shiftClock}`, SHIFT_CLOCK: String(shift) }
      const [program, ...words] = [...network.prefix, process.execPath, main, 'serve']
      const place = { HOST: network.inside, PORT: String(port), DATABASE_URL: urlAt(link) }
      child = spawn(program, words, {
        env: { ...environment, ...shifted, ...place, ...settings },
        stdio: ['ignore', 'pipe', 'pipe']
      })
      const started = child
      closed = once(child, 'close')
      let output = ''
      await new Promise((resolve, reject) => {
        for (const stream of [started.stdout, started.stderr]) {
          stream.setEncoding('utf8').on('data', (text) => {
            output = (output + text).slice(-20_000)
            for (const line of text.split('\n')) if (line.includes('unexpected error')) replica.errors.push(line)
            if (output.includes('ready in')) resolve()
          })
        }
        started.once('exit', (code) => reject(new Error(`replica ${name} ended with ${code}:\n${output}`)))
      })
    },
    async kill(signal) {
      child?.kill(signal)
      await closed
    },
    async close() {
      await replica.kill('SIGKILL')
      link.close()
      network.close()
    }
  }
  return replica
}
