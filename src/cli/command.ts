import type { FastifyInstance } from 'fastify'
import type { Config } from '../config.js'
import { Refusal } from '../domain/refusal.js'
import type { Account } from '../storage/accounts.js'

/** What a command was called with. */
export interface Call {
  readonly positionals: readonly string[]
  readonly options: Readonly<Record<string, string | boolean | undefined>>
  readonly io: Io
  /** Reads the configuration; wrong settings end the command. */
  config(): Config
  /** Runs work on the database's address, with the embedded database started or joined. */
  withDatabase<T>(work: (url: string) => Promise<T>): Promise<T>
  /** Runs work on the service, not listening; without its routes, which take as long as all the rest, unless they are asked for. */
  withApp<T>(work: (app: FastifyInstance) => Promise<T>, wanted?: { routes: boolean }): Promise<T>
}

/** The terminal, or whatever stands for it. */
export interface Io {
  out(text: string): void
  error(text: string): void
  /** A secret that is not to be seen: asked on a terminal, read from standard input otherwise. */
  secret(prompt: string): Promise<string>
  /** Whether somebody sits at the terminal who can be asked. */
  readonly isInteractive: boolean
  /** Asks on the terminal, for what may be seen. */
  ask(prompt: string): Promise<string>
}

/** What a command has to say: for people, and with `--json` for programs. */
export interface Answer {
  readonly text: string
  readonly json: unknown
  /** 0 where it is left out. */
  readonly exitCode?: number
}

export interface Command {
  readonly usage: string
  readonly summary: string
  /** What `--help` says besides the options. */
  readonly details?: string
  readonly options?: Readonly<Record<string, { readonly type: 'string' | 'boolean'; readonly help: string }>>
  run(call: Call): Promise<Answer>
}

/** Called wrongly: the message says how to call it. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Runs work that may find nothing, and says so in words of the terminal. */
export async function orMissing<T>(work: Promise<T>, message: string): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw error instanceof Refusal && error.code === 'not_found' ? new Error(message) : error
  }
}

/** The account that somebody named by its username, its address or its id. */
export function accountOf(app: FastifyInstance, name: string): Promise<Account> {
  const message =
    `There is no account ${JSON.stringify(name)}.\n` +
    'Name it by its username, its email address or its id: `keyturn user list --search <beginning>` finds them.'
  return orMissing(app.flows.findUser(name), message)
}

/** Columns under their headings. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [headings, ...rows]
  const widths = headings.map((_, column) => Math.max(...all.map((row) => row[column]!.length)))
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd()
    )
    .join('\n')
}

/** A comma-separated option as its items; none where it was left out. */
export function items(text: string | boolean | undefined): string[] {
  return String(text ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

/** The one word that a command was called with. */
export function one(call: Call, what: string): string {
  const [name, ...rest] = call.positionals
  if (name === undefined || rest.length > 0) throw new UsageError(`Name one ${what}.`)
  return name
}

/** A number of minutes, hours or days as text in milliseconds. */
export function lifetime(text: string): number {
  const match = /^(\d{1,6})(s|m|h|d)$/.exec(text)
  const unit = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match?.[2] ?? '']
  if (match === null || unit === undefined)
    throw new UsageError(`"${text}" is not a duration. Write 90s, 10m, 12h or 30d.`)
  return Number(match[1]) * unit
}
