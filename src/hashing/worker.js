// One worker thread that hashes, one password at a time, by the synchronous calls.
//
// The asynchronous ones run in libuv's pool, which the whole process shares: a burst of logins there starves every
// other user of the pool (file reads, WebCrypto), from every thread. JavaScript, so that it runs as it stands.
import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { hashSync, verifySync } from '@node-rs/argon2'
import { verifySync as verifyBcrypt } from '@node-rs/bcrypt'
import { verifyLegacy } from './legacy.js'

try {
  // On Linux this is the priority of this thread alone: under a flood of logins the event loop goes first.
  setPriority(0, 10)
} catch {
  // Not allowed everywhere, and nothing depends on it.
}

/** @typedef {import('./queue.js').HashJob} Job */

const libraries = { argon2: verifySync, bcrypt: verifyBcrypt }

/** @param {Job} job */
function run(job) {
  switch (job.kind) {
    case 'hash':
      return hashSync(job.password, job.options)
    case 'verify':
      return verifySync(job.hash, job.password)
    case 'verify-legacy':
      return verifyLegacy(job.password, job.check, libraries)
  }
}

const port = parentPort
if (port === null) throw new Error('this file is a worker')

port.on('message', (/** @type {Job} */ job) => {
  const startedAt = performance.now()
  const took = () => performance.now() - startedAt
  try {
    const value = run(job)
    port.postMessage({ value, took: took() })
  } catch (error) {
    port.postMessage({ error: error instanceof Error ? error.message : String(error), took: took() })
  }
})
