import { createRequire } from 'node:module'
import { isAbsolute, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ConfigError } from './config.js'
import { principal } from './domain/principal.js'
import { Refusal } from './domain/refusal.js'
import { allow } from './domain/requirement.js'
import { type Authenticator, defineAuthenticator } from './plugins/authenticators.js'

/** What a module of AUTH_PLUGINS is given, so that it imports nothing of this package. */
const toolkit = {
  defineAuthenticator,
  principal,
  allow,
  /** For a bad credential: 401. The reason goes into the log alone. */
  refuse: (because: string) => new Refusal('token_invalid', { because }),
  /** Where nobody can tell whether a credential is good: 503. The reason goes into the log alone. */
  unavailable: (because: string) => new Refusal('service_unavailable', { because, retryAfter: 1 })
} as const

type Made = Authenticator | readonly Authenticator[]

/** The address of a module: a path, seen from a folder, or a package that is installed there. */
function locate(specifier: string, folder: string): string {
  if (specifier.startsWith('.') || isAbsolute(specifier)) return pathToFileURL(resolve(folder, specifier)).href
  return pathToFileURL(createRequire(join(folder, 'package.json')).resolve(specifier)).href
}

async function load(specifier: string, folder: string): Promise<readonly Authenticator[]> {
  const module = (await import(locate(specifier, folder))) as { default?: unknown }
  const exported = module.default
  const made = (typeof exported === 'function' ? await exported(toolkit) : exported) as Made | undefined
  if (typeof made !== 'object' || made === null) {
    throw new Error('its default export must be an authenticator, a list of them, or a function that makes them')
  }
  return [made].flat().map(defineAuthenticator)
}

/** The authenticators of the modules that AUTH_PLUGINS names. Throws a ConfigError for those that cannot be loaded. */
export async function loadAuthenticators(
  specifiers: readonly string[],
  folder: string = process.cwd()
): Promise<Authenticator[]> {
  const loaded: Authenticator[] = []
  const faults: string[] = []
  for (const specifier of specifiers) {
    try {
      loaded.push(...(await load(specifier, folder)))
    } catch (error) {
      faults.push(`AUTH_PLUGINS names ${specifier}, which cannot be loaded: ${(error as Error).message}`)
    }
  }
  if (faults.length > 0) throw new ConfigError(faults)
  return loaded
}
