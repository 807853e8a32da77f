// One worker thread that hashes, one password at a time, by the synchronous calls.
//
// The asynchronous ones run in libuv's pool, which the whole process shares: a burst of logins there starves every
// other user of the pool (file reads, WebCrypto), from every thread. JavaScript, so that it runs as it stands.
import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { hashSync, verifySync } from '@node-rs/argon2'

try {
  // On Linux this is the priority of this thread alone: under a flood of logins the event loop goes first.
  setPriority(0, 10)
} catch {
  // Not allowed everywhere, and nothing depends on it.
}

/**
 * @typedef {{ kind: 'hash', password: string, options: import('@node-rs/argon2').Options }
 *   | { kind: 'verify', password: string, hash: string }} Job
 */

const port = parentPort
if (port === null) throw new Error('this file is a worker')

port.on('message', (/** @type {Job} */ job) => {
  try {
    const value = job.kind === 'hash' ? hashSync(job.password, job.options) : verifySync(job.hash, job.password)
    port.postMessage({ value })
  } catch (error) {
    port.postMessage({ error: error instanceof Error ? error.message : String(error) })
  }
})
