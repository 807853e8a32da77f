import type { ImportedUser, ImportSource } from '../domain/imported-user.js'
import { formatFirebaseScrypt } from '../domain/legacy-password.js'
import { csvRecords } from './csv.js'
import { readEntries, untold } from './entries.js'
import { jsonLines, sniff } from './files.js'
import { jsonElements } from './json.js'
import { type Fields, flag, idText, instant, text } from './values.js'

/** How Supabase keeps users who came from Firebase: the same parameters in another order. */
const fromFirebase = /^\$fbscrypt\$v=1,n=(\d+),r=(\d+),p=1,ss=([^,$]*),sk=([^,$]+)\$([^$]+)\$([^$]+)$/

function passwordOf(user: Fields): string | null {
  const stored = text(user, 'encrypted_password')
  const match = stored === null ? null : fromFirebase.exec(stored)
  if (match === null) return stored
  const [, memCost, rounds, saltSeparator, signerKey, salt, hash] = match
  const config = {
    memCost: Number(memCost),
    rounds: Number(rounds),
    saltSeparator: saltSeparator!,
    signerKey: signerKey!
  }
  return formatFirebaseScrypt(config, salt!, hash!) ?? stored
}

const toUser =
  (now: Date) =>
  (user: Fields): ImportedUser | string => {
    if (instant(user, 'deleted_at') !== null) return 'it was deleted there'
    if (flag(user, 'is_anonymous', false)) return 'it is anonymous there'
    const bannedUntil = user.banned_until === 'infinity' ? now : instant(user, 'banned_until')
    return {
      ...untold,
      externalId: `supabase:${idText(user.id, 'id')}`,
      email: text(user, 'email'),
      emailVerified: instant(user, 'email_confirmed_at') ?? false,
      password: passwordOf(user),
      isDisabled: bannedUntil !== null && bannedUntil >= now,
      createdAt: instant(user, 'created_at'),
      lastLoginAt: instant(user, 'last_sign_in_at')
    }
  }

/** The table auth.users, as CSV with a header, as a JSON array or as one object a line. */
export async function supabase(path: string, now: Date): Promise<ImportSource> {
  const form = await sniff(path)
  const records = () =>
    form === 'csv'
      ? csvRecords(path, ['id', 'email', 'encrypted_password'])
      : form === 'array'
        ? jsonElements(path)
        : jsonLines(path)
  return {
    unit: form === 'array' ? 'element' : 'line',
    roles: [],
    notes: [],
    entries: () => readEntries<Fields>(records(), toUser(now))
  }
}
