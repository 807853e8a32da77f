import { parseArgs } from 'node:util'
import { ConfigError, readConfig } from '../config.js'
import { Refusal } from '../domain/refusal.js'
import { version } from '../version.js'
import { apiTokenCommands } from './api-tokens.js'
import { auditCommands } from './audit.js'
import { clientCommands } from './clients.js'
import { type Answer, type Call, type Command, type Io, UsageError } from './command.js'
import { databaseCommands } from './database.js'
import { importCommands } from './import.js'
import { keyCommands } from './keys.js'
import { operationCommands } from './operation.js'
import { receiverCommands } from './receivers.js'
import { roleCommands } from './roles.js'
import { tokenCommands } from './tokens.js'
import { userCommands } from './users.js'

/** Loaded by commands that need it: to load it takes longer than all else that a probe of a container does. */
const loadServer = () => import('../server.js')

const commands: Record<string, Command> = {
  serve: {
    usage: 'serve',
    summary: 'Run the service.',
    async run(call) {
      const config = call.config()
      const { serve } = await loadServer()
      await serve(config)
      return { text: '', json: null }
    }
  },
  ...databaseCommands,
  ...userCommands,
  ...roleCommands,
  ...apiTokenCommands,
  ...clientCommands,
  ...importCommands,
  ...tokenCommands,
  ...receiverCommands,
  ...keyCommands,
  ...auditCommands,
  ...operationCommands
}

function help(): string {
  const width = Math.max(...Object.values(commands).map(({ usage }) => usage.length))
  const lines = Object.values(commands).map(({ usage, summary }) => `  ${usage.padEnd(width)}  ${summary}`)
  return `keyturn ${version}

Usage: keyturn <command> [--json]
       keyturn <command> --help

${lines.join('\n')}

Settings come from the environment: see .env.example, or \`keyturn config print\`.
Exit codes: 0 done, 1 refused or failed, 2 called or configured wrongly.`
}

/** What one command takes. */
function helpOf({ usage, summary, options = {}, details }: Command): string {
  const names = Object.entries(options).map(([name, { type }]) => (type === 'string' ? `--${name} <…>` : `--${name}`))
  const width = Math.max(0, ...names.map(({ length }) => length))
  const lines = Object.values(options).map(({ help }, at) => `  ${names[at]!.padEnd(width)}  ${help}`)
  const parts = [`Usage: keyturn ${usage} [--json]`, summary, lines.join('\n'), details ?? '']
  return parts.filter((part) => part !== '').join('\n\n')
}

/** The command that the words name, and what is left of them. */
function find(words: readonly string[]): [Command, string[]] | undefined {
  for (const length of [2, 1]) {
    const command = commands[words.slice(0, length).join(' ')]
    if (words.length >= length && command !== undefined) return [command, words.slice(length)]
  }
  return undefined
}

/**
 * One key thumbprint in 64 begins with a dash (RFC 7638 in base64url), and would be read as options. No option is that
 * long, so it is moved behind the `--` that ends them.
 */
function shieldThumbprints(words: readonly string[]): string[] {
  if (words.includes('--')) return [...words]
  const isShielded = (word: string) => /^-[\w-]{42}$/.test(word)
  return [...words.filter((word) => !isShielded(word)), '--', ...words.filter(isShielded)]
}

async function run(words: readonly string[], io: Io): Promise<number> {
  if (words.length === 0 || words[0] === 'help' || words.includes('--help') || words.includes('-h')) {
    const named = find(words.filter((word) => word !== '--help' && word !== '-h' && word !== 'help'))
    io.out(named === undefined ? help() : helpOf(named[0]))
    return words.length === 0 ? 2 : 0
  }
  if (words[0] === '--version') {
    io.out(version)
    return 0
  }
  const found = find(words)
  if (found === undefined)
    throw new UsageError(`There is no command "${words.join(' ')}". \`keyturn help\` lists them.`)
  const [command, rest] = found
  const options = Object.fromEntries(Object.entries(command.options ?? {}).map(([name, { type }]) => [name, { type }]))
  let parsed: ReturnType<typeof parseArgs>
  try {
    parsed = parseArgs({
      args: shieldThumbprints(rest),
      options: { ...options, json: { type: 'boolean' } },
      allowPositionals: true
    })
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\nUsage: keyturn ${command.usage}`)
  }

  const config = () => readConfig(process.env, version)
  const withDatabase: Call['withDatabase'] = async (work) => {
    const { openConfiguredDatabase } = await loadServer()
    const opened = await openConfiguredDatabase(config(), { exclusive: false })
    try {
      return await work(opened.url)
    } finally {
      await opened.close()
    }
  }
  const call: Call = {
    positionals: parsed.positionals,
    options: parsed.values as Call['options'],
    io,
    config,
    withDatabase,
    withApp: (work, { routes } = { routes: false }) =>
      withDatabase(async (url) => {
        const { buildConfiguredApp, prepareSchema } = await loadServer()
        await prepareSchema(config(), url)
        const app = await buildConfiguredApp(config(), url, { logger: false, within: 'command', routes })
        try {
          await app.ready()
          return await work(app)
        } finally {
          await app.close()
        }
      })
  }
  const answer: Answer = await command.run(call)
  if (parsed.values.json) io.out(JSON.stringify(answer.json, null, 2))
  else if (answer.text !== '') io.out(answer.text)
  return answer.exitCode ?? 0
}

/** What went wrong, for a person: the sentence, and nothing that only a stack would explain. */
async function explain(error: unknown): Promise<[string, number]> {
  if (error instanceof ConfigError) {
    return [`The configuration is wrong:\n${error.faults.map((fault) => `  - ${fault}`).join('\n')}`, 2]
  }
  if (error instanceof UsageError) return [error.message, 2]
  if (error instanceof Refusal) {
    const { catalogue } = await import('../schemas/problems.js')
    const { title, remedy } = catalogue[error.code]
    const details = (error.errors ?? []).map(({ pointer, detail }) => `\n  - ${pointer.slice(1)}: ${detail}`)
    const because = error.code === 'service_unavailable' ? `\n  ${error.because}` : ''
    return [`${title}.${details.join('')}${because}${details.length === 0 ? `\n${remedy}` : ''}`, 1]
  }
  return [(error as Error).message, 1]
}

/** Runs the command that the words name, and tells its exit code. What is wrong is said, never thrown. */
export async function runCommand(words: readonly string[], io: Io): Promise<number> {
  try {
    return await run(words, io)
  } catch (error) {
    const [message, exitCode] = await explain(error)
    if (words.includes('--json')) io.out(JSON.stringify({ error: message }))
    else io.error(`keyturn: ${message}`)
    return exitCode
  }
}
