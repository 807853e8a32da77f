// Runs commands of the built program one after the other, each with an environment of its own.
import { runCommand } from '../../dist/src/cli/program.js'

async function run({ id, words, environment, input }) {
  for (const name of Object.keys(process.env)) delete process.env[name]
  Object.assign(process.env, environment)
  let stdout = ''
  let stderr = ''
  const io = {
    out: (text) => {
      stdout += `${text}\n`
    },
    error: (text) => {
      stderr += `${text}\n`
    },
    isInteractive: false,
    ask: async () => '',
    secret: async () => input.replace(/\r?\n$/, '')
  }
  const code = await runCommand(words, io)
  process.send({ id, outcome: { code, stdout, stderr } })
}

let last = Promise.resolve()
process.on('message', (message) => {
  last = last.then(() => run(message))
})
process.on('disconnect', () => process.exit())
