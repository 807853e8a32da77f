import { readFile } from 'node:fs/promises'
import type { ImportedUser, ImportSource } from '../domain/imported-user.js'
import { type FirebaseHashConfig, formatFirebaseScrypt, parseLegacyPassword } from '../domain/legacy-password.js'
import { readEntries, untold } from './entries.js'
import { SourceError, sniff, WrongEntry } from './files.js'
import { jsonElements } from './json.js'
import { type Fields, flag, idText, isObject, milliseconds, text } from './values.js'

/**
 * The project's parameters: a JSON object of signerKey, saltSeparator, rounds and memCost, or of the names that the
 * console shows (base64_signer_key, base64_salt_separator, mem_cost).
 */
export async function readHashConfig(path: string): Promise<FirebaseHashConfig> {
  let read: unknown
  try {
    read = JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    // Not the parser's message: it would repeat a piece of the signer key.
    throw new SourceError(`${path} cannot be read as JSON (${(error as NodeJS.ErrnoException).code ?? 'its form'}).`)
  }
  const members = isObject(read) ? read : {}
  const inner = isObject(members.hash_config) ? members.hash_config : members
  const take = (...names: string[]) => names.map((name) => inner[name]).find((value) => value !== undefined)
  const config = {
    signerKey: String(take('signerKey', 'base64_signer_key') ?? ''),
    saltSeparator: String(take('saltSeparator', 'base64_salt_separator') ?? ''),
    rounds: Number(take('rounds')),
    memCost: Number(take('memCost', 'mem_cost'))
  }
  const sample = formatFirebaseScrypt(config, 'AAAA', config.signerKey)
  const judged = sample === null ? null : parseLegacyPassword(sample)
  if (judged?.check == null) {
    throw new SourceError(
      `${path} must have signerKey and saltSeparator in base64, rounds and memCost, as the Firebase console shows ` +
        `them under Authentication, Users, ⋮, Password hash parameters${judged?.check === null ? `: ${judged.because}` : ''}.`
    )
  }
  return config
}

function passwordOf(user: Fields, config: FirebaseHashConfig): string | null {
  const hash = text(user, 'passwordHash')
  if (hash === null) return null
  const stored = formatFirebaseScrypt(config, text(user, 'salt') ?? '', hash)
  if (stored === null) throw new WrongEntry('"passwordHash" or "salt" is not base64')
  return stored
}

const toUser =
  (config: FirebaseHashConfig) =>
  (user: Fields): ImportedUser => ({
    ...untold,
    externalId: `firebase:${idText(user.localId, 'localId')}`,
    email: text(user, 'email'),
    emailVerified: flag(user, 'emailVerified', false),
    password: passwordOf(user, config),
    isDisabled: flag(user, 'disabled', false),
    createdAt: milliseconds(user, 'createdAt'),
    lastLoginAt: milliseconds(user, 'lastSignedInAt')
  })

/** What `firebase auth:export users.json` writes: an object whose member `users` is an array. */
export async function firebase(path: string, config: FirebaseHashConfig): Promise<ImportSource> {
  const form = await sniff(path)
  if (form === 'csv') {
    throw new SourceError(`${path} is not JSON. Export it with \`firebase auth:export users.json --format=json\`.`)
  }
  return {
    unit: 'element',
    roles: [],
    notes: [],
    entries: () => readEntries(jsonElements(path, form === 'array' ? undefined : 'users'), toUser(config))
  }
}
