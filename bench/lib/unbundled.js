// The service from its files one by one, so that a profile knows whose functions they are.
import { runCommand } from '../../dist/src/cli/program.js'

const io = { out: (text) => console.log(text), error: (text) => console.error(text), isInteractive: false }
const code = await runCommand(['serve'], { ...io, ask: async () => '', secret: async () => '' })
if (code !== 0) process.exitCode = code
