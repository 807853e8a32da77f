import type { ImportedUser, ImportSource } from '../domain/imported-user.js'
import { readEntries, untold } from './entries.js'
import { jsonLines, sniff, WrongEntry } from './files.js'
import { jsonElements } from './json.js'
import { type Fields, flag, idText, instant, isObject, text } from './values.js'

/** `{"$oid": …}` and `{"$date": …}` of MongoDB's extended JSON, which exports of password hashes are in. */
function unwrapped(user: Fields): Fields {
  return Object.fromEntries(
    Object.entries(user).map(([name, value]) => {
      if (isObject(value) && '$oid' in value) return [name, value.$oid]
      if (isObject(value) && '$date' in value) return [name, value.$date]
      return [name, value]
    })
  )
}

/** The id that Auth0's tokens have as `sub`: exports of password hashes leave its beginning out. */
function subject(user: Fields): string {
  if (user.user_id !== undefined) return idText(user.user_id, 'user_id')
  if (user.Id !== undefined) return idText(user.Id, 'Id')
  const id = idText(user._id, 'user_id')
  return id.includes('|') ? id : `auth0|${id}`
}

function passwordOf(user: Fields): string | null {
  const custom = user.custom_password_hash
  if (custom !== undefined && custom !== null) {
    if (!isObject(custom)) throw new WrongEntry('"custom_password_hash" is not an object')
    const algorithm = text(custom, 'algorithm') ?? 'unknown'
    const value = isObject(custom.hash) ? text(custom.hash, 'value') : null
    // These three are whole in their own strings; the others have salts and encodings beside them.
    return ['bcrypt', 'argon2', 'pbkdf2'].includes(algorithm) ? value : `${algorithm}$`
  }
  return text(user, 'passwordHash') ?? text(user, 'password_hash')
}

function toUser(line: Fields): ImportedUser {
  const user = unwrapped(line)
  return {
    ...untold,
    externalId: `auth0:${subject(user)}`,
    username: text(user, 'username'),
    email: text(user, 'email') ?? text(user, 'Email'),
    emailVerified: flag(user, user.email_verified === undefined ? 'Email Verified' : 'email_verified', false),
    password: passwordOf(user),
    isDisabled: flag(user, 'blocked', false),
    createdAt: instant(user, 'created_at') ?? instant(user, 'Created At'),
    lastLoginAt: instant(user, 'last_login')
  }
}

/** Auth0's exports: one JSON object a line, or an array of them. */
export async function auth0(path: string): Promise<ImportSource> {
  const isArray = (await sniff(path)) === 'array'
  return {
    unit: isArray ? 'element' : 'line',
    roles: [],
    notes: [],
    entries: () => readEntries(isArray ? jsonElements(path) : jsonLines(path), toUser)
  }
}
