import { createRequire } from 'node:module'
import { isAbsolute, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ConfigError } from './config.js'
import { principal } from './domain/principal.js'
import { Refusal } from './domain/refusal.js'
import { allow } from './domain/requirement.js'
import { type Authenticator, defineAuthenticator } from './plugins/authenticators.js'
import { defineKeyProvider, type KeyProvider } from './plugins/key-providers.js'

/** What a module of AUTH_PLUGINS is given, so that it imports nothing of this package. */
const toolkit = {
  defineAuthenticator,
  defineKeyProvider,
  principal,
  allow,
  /** For a bad credential: 401. The reason goes into the log alone. */
  refuse: (because: string) => new Refusal('token_invalid', { because }),
  /** Where nobody can tell whether a credential is good: 503. The reason goes into the log alone. */
  unavailable: (because: string) => new Refusal('service_unavailable', { because, retryAfter: 1 })
} as const

/** What modules of AUTH_PLUGINS add. */
export interface Extensions {
  readonly authenticators: readonly Authenticator[]
  readonly keyProviders: readonly KeyProvider[]
}

type Extension = Authenticator | KeyProvider

const isKeyProvider = (one: Extension): one is KeyProvider => 'create' in one || 'signer' in one

/** The address of a module: a path, seen from a folder, or a package that is installed there. */
function locate(specifier: string, folder: string): string {
  if (specifier.startsWith('.') || isAbsolute(specifier)) return pathToFileURL(resolve(folder, specifier)).href
  return pathToFileURL(createRequire(join(folder, 'package.json')).resolve(specifier)).href
}

async function load(specifier: string, folder: string): Promise<Extension[]> {
  const module = (await import(locate(specifier, folder))) as { default?: unknown }
  const exported = module.default
  const made = typeof exported === 'function' ? await exported(toolkit) : exported
  const all = [made].flat() as Extension[]
  if (all.some((one) => typeof one !== 'object' || one === null)) {
    throw new Error(
      'its default export must be an authenticator, a key provider, a list of them, or a function that makes them'
    )
  }
  return all.map((one) => (isKeyProvider(one) ? defineKeyProvider(one) : defineAuthenticator(one)))
}

/** What the modules of AUTH_PLUGINS add. Throws a ConfigError for those that cannot be loaded. */
export async function loadExtensions(
  specifiers: readonly string[],
  folder: string = process.cwd()
): Promise<Extensions> {
  const loaded: Extension[] = []
  const faults: string[] = []
  for (const specifier of specifiers) {
    try {
      loaded.push(...(await load(specifier, folder)))
    } catch (error) {
      faults.push(`AUTH_PLUGINS names ${specifier}, which cannot be loaded: ${(error as Error).message}`)
    }
  }
  if (faults.length > 0) throw new ConfigError(faults)
  return {
    keyProviders: loaded.filter(isKeyProvider),
    authenticators: loaded.filter((one): one is Authenticator => !isKeyProvider(one))
  }
}
