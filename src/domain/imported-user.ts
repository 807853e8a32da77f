import { createHash } from 'node:crypto'
import { isPermissionName } from './grants.js'
import { emailKey, judgeEmail, judgeUsername, normalizeUsername, usernameKey } from './identity.js'
import { parseLegacyPassword } from './legacy-password.js'

/** A user as another system has it, in our words. What is null there was not told. */
export interface ImportedUser {
  /** The system and its id there: `django:42`. */
  readonly externalId: string
  readonly username: string | null
  readonly email: string | null
  /** When, or only that, the address was shown to be theirs. */
  readonly emailVerified: Date | boolean
  /** As it is stored there. */
  readonly password: string | null
  readonly isDisabled: boolean
  readonly createdAt: Date | null
  readonly lastLoginAt: Date | null
  readonly roles: readonly string[]
  readonly permissions: readonly string[]
  /** A key that clients of Django REST framework send as `Authorization: Token …`. */
  readonly token: { readonly key: string; readonly createdAt: Date | null } | null
  /** What could not be taken over, without being a reason to refuse the user. */
  readonly notes: readonly string[]
}

/** One line or element of a file: a user, one that cannot be read, or one that is left out on purpose. */
export type ImportEntry =
  | { readonly kind: 'user'; readonly at: number; readonly user: ImportedUser }
  | { readonly kind: 'wrong'; readonly at: number; readonly because: string }
  | { readonly kind: 'skipped'; readonly at: number; readonly because: string }

export interface ImportedRole {
  readonly name: string
  readonly description: string
  readonly permissions: readonly string[]
}

/** A file of another system. It is read anew for each call of `entries`. */
export interface ImportSource {
  /** What the numbers of entries count. */
  readonly unit: 'line' | 'element'
  readonly roles: readonly ImportedRole[]
  /** What is to be said about the roles. */
  readonly notes: readonly string[]
  entries(): AsyncIterable<ImportEntry>
}

export interface StoredPassword {
  /** What goes into the account; null where it gets no password. */
  readonly stored: string | null
  /** Its scheme, or `none`. */
  readonly scheme: string
  /** Why a password that is there cannot be taken over. */
  readonly because: string | null
}

/** What becomes of a password string of another system. */
export function judgeImportedPassword(text: string | null): StoredPassword {
  // Django writes ! and random letters where nobody is to sign in with a password.
  if (text === null || text === '' || text.startsWith('!')) return { stored: null, scheme: 'none', because: null }
  const parsed = parseLegacyPassword(text)
  if (parsed.check === null) return { stored: null, scheme: parsed.scheme, because: parsed.because }
  // With Django's word before it: theirs is checked as it was typed, and never taken for one of our own.
  return { stored: text.startsWith('$argon2') ? `argon2${text}` : text, scheme: parsed.scheme, because: null }
}

/** An account as it will be stored. */
export interface ImportedAccount {
  readonly externalId: string
  readonly username: string
  readonly usernameKey: string
  readonly email: string | null
  readonly emailKey: string | null
  readonly emailVerifiedAt: Date | null
  readonly passwordHash: string | null
  readonly roles: readonly string[]
  readonly permissions: readonly string[]
  readonly disabledAt: Date | null
  readonly createdAt: Date
  readonly lastLoginAt: Date | null
  readonly token: ImportedToken | null
}

/** A key is kept as every API token is: its digest, and four characters for its owner. */
export interface ImportedToken {
  readonly digest: Buffer
  readonly hint: string
  readonly createdAt: Date
}

const externalIdForm = /^[^\p{C}]{3,300}$/u

/**
 * Whether a text can be a permission that another system gives. Those that begin with `keyturn.` mean something to this
 * service, and only its administrators give them.
 */
export const isPermission = (text: string) => isPermissionName(text) && !/^keyturn\./i.test(text)

/** Where users have no username: their address, or else their id. */
function nameOf(user: ImportedUser): string {
  if (user.username) return user.username
  if (user.email && judgeUsername(user.email).length === 0) return user.email
  return user.externalId.replace(/[^\p{L}\p{N}_.@+-]/gu, '-').slice(0, 150)
}

/** Clocks and clerks err: nothing of an account lies in the future, nor before computers. */
function within(instant: Date | null, now: Date): Date | null {
  return instant === null || instant.getTime() < 0 ? null : instant > now ? now : instant
}

/**
 * Turns a user of another system into an account by the rules for new ones, but for the password's, which only its
 * owner could change. Returns the reasons where it cannot be one.
 */
export function toAccount(user: ImportedUser, passwordHash: string | null, now: Date): ImportedAccount | string[] {
  const username = nameOf(user)
  const email = user.email === '' ? null : user.email
  const faults = [
    ...judgeUsername(username).map(({ detail }) => `the username ${JSON.stringify(username)}: ${detail}`),
    ...(email === null
      ? []
      : judgeEmail(email).map(({ detail }) => `the email address ${JSON.stringify(email)}: ${detail}`))
  ]
  if (!externalIdForm.test(user.externalId)) faults.push('its id has 1 to 290 visible characters')
  if (faults.length > 0) return faults
  const createdAt = within(user.createdAt, now) ?? now
  const verified = user.emailVerified === true ? now : user.emailVerified === false ? null : user.emailVerified
  return {
    externalId: user.externalId,
    username: normalizeUsername(username),
    usernameKey: usernameKey(username),
    email,
    emailKey: email === null ? null : emailKey(email),
    emailVerifiedAt: email === null ? null : within(verified, now),
    passwordHash,
    roles: [...new Set(user.roles)].sort(),
    permissions: [...new Set(user.permissions.filter(isPermission))].sort(),
    disabledAt: user.isDisabled ? now : null,
    createdAt,
    lastLoginAt: within(user.lastLoginAt, now),
    token: user.token === null ? null : toToken(user.token, now)
  }
}

function toToken({ key, createdAt }: { key: string; createdAt: Date | null }, now: Date): ImportedToken {
  return {
    digest: createHash('sha256').update(key, 'ascii').digest(),
    hint: key.slice(-4),
    createdAt: within(createdAt, now) ?? now
  }
}

/** Roles that mean something to this service: a group's name alone makes nobody an administrator. */
const reserved = new Set(['admin', 'staff'])

/** A group's name in a role's form, `^[a-z][a-z0-9_.:-]{0,63}$`; empty where nothing of it is left. */
function roleForm(group: string): string {
  return group
    .normalize('NFKD')
    .toLowerCase()
    .replace(/\p{M}/gu, '')
    .replace(/[^a-z0-9_.:-]+/g, '-')
    .replace(/^[^a-z]+|-+$/g, '')
    .slice(0, 64)
}

/**
 * Names of roles for names of groups. Groups whose names come to the same, to none or to one that is reserved get a
 * piece of their name's digest: they never share a role, and get the same names again from any file. `notes` tells of
 * each.
 */
export function roleNames(groups: readonly string[]): {
  readonly names: Map<string, string>
  readonly notes: string[]
} {
  const forms = new Map<string, number>()
  for (const group of new Set(groups)) forms.set(roleForm(group), (forms.get(roleForm(group)) ?? 0) + 1)
  const names = new Map<string, string>()
  const notes: string[] = []
  for (const group of new Set(groups)) {
    const form = roleForm(group)
    const because =
      form === ''
        ? 'has no letter a to z'
        : reserved.has(form)
          ? `would be the role ${form}, which has a meaning here`
          : forms.get(form)! > 1
            ? `and another group would both be the role ${form}`
            : null
    if (because === null) {
      names.set(group, form)
      continue
    }
    const name = `${form.slice(0, 50) || 'group'}-${createHash('sha256').update(group).digest('hex').slice(0, 8)}`
    names.set(group, name)
    notes.push(`The group ${JSON.stringify(group)} ${because}; it becomes the role ${name}.`)
  }
  return { names, notes }
}
