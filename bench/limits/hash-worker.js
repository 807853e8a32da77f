// Hashes without pause until the time is over, and tells how often.
import { parentPort, workerData } from 'node:worker_threads'
import { hashSync } from '@node-rs/argon2'

const { milliseconds, options } = workerData
let count = 0
const end = performance.now() + milliseconds
while (performance.now() < end) {
  hashSync('correct horse battery', options)
  count++
}
parentPort.postMessage(count)
