import { readFileSync } from 'node:fs'
import { accounts } from './settings/accounts.js'
import { authenticators } from './settings/authenticators.js'
import { drf } from './settings/drf.js'
import { firstAdministrator } from './settings/first-administrator.js'
import { forwardAuth } from './settings/forward-auth.js'
import { load } from './settings/load.js'
import { operation } from './settings/operation.js'
import { passwords } from './settings/passwords.js'
import { rateLimits } from './settings/rate-limits.js'
import { revocations } from './settings/revocations.js'
import { service } from './settings/service.js'
import { sessions } from './settings/sessions.js'
import type { Setting } from './settings/setting.js'
import { signingKeys } from './settings/signing-keys.js'
import { tracing } from './settings/tracing.js'

export type Environment = Readonly<Record<string, string | undefined>>

/** Every setting, by theme: in this order they are printed. */
export const definitions = {
  ...service,
  ...sessions,
  ...signingKeys,
  ...authenticators,
  ...drf,
  ...rateLimits,
  ...revocations,
  ...forwardAuth,
  ...accounts,
  ...passwords,
  ...load,
  ...operation,
  ...tracing,
  ...firstAdministrator
}

type Definitions = typeof definitions

export type Settings = {
  readonly [K in keyof Definitions]: Definitions[K] extends Setting<infer T> ? T : never
}

/** A setting's text from its variable, or from the file that its `_FILE` variable names. */
function textOf(name: string, setting: Setting<unknown>, environment: Environment): string | undefined {
  const direct = environment[name]
  const file = setting.secret ? environment[`${name}_FILE`] : undefined
  if (file === undefined || file === '') return direct === '' ? undefined : direct
  if (direct !== undefined && direct !== '') throw new Error(`and ${name}_FILE are both set: keep one`)
  let content: string
  try {
    content = readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    throw new Error(`cannot be read from ${file} (${(error as NodeJS.ErrnoException).code}), which ${name}_FILE names`)
  }
  if (content === '') throw new Error(`is empty in ${file}, which ${name}_FILE names`)
  return content
}

/** Reads a setting again each time it is asked, and says what it was where that cannot be: its file is just being replaced. */
export function readAnew<Name extends keyof Settings>(
  name: Name,
  environment: Environment,
  first: NonNullable<Settings[Name]>
): () => NonNullable<Settings[Name]> {
  const setting = definitions[name] as Setting<unknown>
  let last = first
  return () => {
    try {
      const text = textOf(name, setting, environment)
      if (text !== undefined) last = setting.parse(text) as NonNullable<Settings[Name]>
    } catch {
      // The connection itself tells whether it still holds.
    }
    return last
  }
}

/** How many letters to change to come from one to the other. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, at) => at)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1))
    }
    row = next
  }
  return row[to.length]!
}

/** Variables that look like ours and are not: a misspelt setting would otherwise silently keep its default. */
function unknownFaults(environment: Environment): string[] {
  const names = Object.keys(definitions)
  return Object.keys(environment)
    .filter((name) => name.startsWith('AUTH_') && !names.includes(name))
    .filter(
      (name) =>
        !(name.endsWith('_FILE') && (definitions as Record<string, Setting<unknown>>)[name.slice(0, -5)]?.secret)
    )
    .map((name) => {
      const nearest = names.toSorted((a, b) => distance(name, a) - distance(name, b))[0]!
      const hint = distance(name, nearest) <= 4 ? ` Did you mean ${nearest}?` : ''
      return `${name} is not a setting of Keyturn.${hint}`
    })
}

/** Reads every setting, and says of each wrong one what it must be. A secret's value is never repeated. */
export function readSettings(environment: Environment): { settings: Settings; faults: string[] } {
  const faults = unknownFaults(environment)
  const settings: Record<string, unknown> = {}
  for (const [name, setting] of Object.entries(definitions) as [string, Setting<unknown>][]) {
    let value: string | undefined
    try {
      value = textOf(name, setting, environment) ?? setting.fallback
      settings[name] =
        value === undefined
          ? undefined
          : value === '' && setting.fallback === ''
            ? setting.parse('')
            : setting.parse(value)
    } catch (error) {
      const shown = setting.secret || value === undefined ? '' : ` (it is ${JSON.stringify(value)})`
      faults.push(`${name} ${(error as Error).message}${shown}.`)
    }
  }
  return { settings: settings as Settings, faults }
}

/** The text of `.env.example`: every setting with its default. */
export function exampleEnvironment(): string {
  const blocks = (Object.entries(definitions) as [string, Setting<unknown>][]).map(([name, setting]) => {
    const notes = [setting.help]
    if (setting.secret) notes.push(`Also as ${name}_FILE.`)
    if (setting.fallbackNote !== undefined) notes.push(`Default: ${setting.fallbackNote}.`)
    return `# ${notes.join(' ')}\n#${name}=${setting.fallback || setting.example || ''}`
  })
  return `# Every setting of Keyturn with its default. None is needed to start.\n\n${blocks.join('\n\n')}\n`
}

/** The settings as they are in force, secrets left out. */
export function describeSettings(
  environment: Environment,
  settings: Settings
): Array<{ name: string; value: string; source: string }> {
  return (Object.entries(definitions) as [keyof Settings, Setting<unknown>][]).map(([name, setting]) => {
    const fromFile = setting.secret && environment[`${name}_FILE`]
    const source = fromFile ? 'file' : environment[name] ? 'environment' : 'default'
    const value = settings[name]
    const shown =
      value === undefined
        ? (setting.fallbackNote ?? '')
        : setting.secret
          ? '(secret)'
          : environment[name] || setting.fallback || String(value)
    return { name, value: shown, source }
  })
}
