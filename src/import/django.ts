import type { ImportEntry, ImportedUser, ImportSource } from '../domain/imported-user.js'
import { csvRecords } from './csv.js'
import { type Catalogue, readCatalogue } from './django-catalogue.js'
import { readEntries, readEntry, untold } from './entries.js'
import { jsonLines, type Numbered, sniff, WrongEntry } from './files.js'
import { jsonElements } from './json.js'
import { type Fields, flag, idText, instant, isObject, list, text } from './values.js'

/** What the table and the dump have in common. A custom user model may have no username and be named by its address. */
function basics(externalId: string, fields: Fields): ImportedUser {
  const isSuperuser = flag(fields, 'is_superuser', false)
  const isStaff = flag(fields, 'is_staff', false)
  return {
    ...untold,
    externalId,
    username: text(fields, 'username'),
    email: text(fields, 'email'),
    // Django itself keeps no record of it.
    emailVerified: false,
    password: text(fields, 'password'),
    isDisabled: !flag(fields, 'is_active', true),
    createdAt: instant(fields, 'date_joined'),
    lastLoginAt: instant(fields, 'last_login'),
    // Staff may open Django's admin and nothing more; that is no reason to administer this service.
    roles: isSuperuser ? ['admin', 'staff'] : isStaff ? ['staff'] : []
  }
}

/** A user of a dump. With --natural-primary there is no id: then its name stands for it, which no id looks like. */
function fromDump(element: Fields, catalogue: Catalogue, tokens: Set<string>): ImportedUser {
  if (!isObject(element.fields)) throw new WrongEntry('"fields" is missing')
  const { fields } = element
  const name = text(fields, 'username') ?? text(fields, 'email')
  const pk = element.pk === undefined || element.pk === null ? null : idText(element.pk, 'pk')
  if (pk === null && name === null) throw new WrongEntry('it has neither "pk" nor "username"')
  const user = basics(`django:${pk ?? `username=${name}`}`, fields)
  const roles = catalogue.rolesOf(list(fields, 'groups'))
  const permissions = catalogue.permissionsOf(list(fields, 'user_permissions'))
  const keys = [pk === null ? null : `#${pk}`, `@${user.username}`, `@${user.email}`]
  const owner = keys.find((key) => key !== null && catalogue.tokens.has(key))
  if (owner) tokens.add(owner)
  return {
    ...user,
    roles: [...user.roles, ...roles.found],
    permissions: permissions.found,
    token: owner ? catalogue.tokens.get(owner)! : null,
    notes: [
      ...roles.missing.map((group) => `its group ${group} is not in the file`),
      ...permissions.missing.map(
        (permission) => `its permission ${permission} is not in the file, or cannot be one here`
      )
    ]
  }
}

async function* dumpEntries(
  elements: AsyncIterable<Numbered<Fields>>,
  catalogue: Catalogue,
  userModel: string
): AsyncGenerator<ImportEntry> {
  const owned = new Set<string>()
  for await (const element of elements) {
    const { at } = element
    if ('because' in element) yield { kind: 'wrong', at, because: element.because }
    else if (String(element.value.model).toLowerCase() === userModel) {
      yield readEntry(at, () => fromDump(element.value, catalogue, owned))
    }
  }
  for (const wrong of catalogue.wrong) yield { kind: 'wrong', ...wrong }
  for (const [owner, { at }] of catalogue.tokens) {
    if (!owned.has(owner))
      yield { kind: 'wrong', at, because: `the user ${owner.slice(1)} of this token is not in the file` }
  }
}

/**
 * Django's users: what `dumpdata` writes (a JSON array, or one object a line), or the table auth_user as CSV. A dump may
 * have its models in any order, so it is read twice: first groups, permissions, content types and tokens, which are kept
 * in memory, and then the users one by one.
 */
export async function django(path: string, userModel = 'auth.user'): Promise<ImportSource> {
  const form = await sniff(path)
  if (form === 'csv') {
    return {
      unit: 'line',
      roles: [],
      notes: [],
      entries: () =>
        readEntries<Fields>(csvRecords(path, ['id', 'password']), (fields) =>
          basics(`django:${idText(fields.id, 'id')}`, fields)
        )
    }
  }
  const elements = () => (form === 'array' ? jsonElements(path) : jsonLines(path))
  const catalogue = await readCatalogue(elements())
  return {
    unit: form === 'array' ? 'element' : 'line',
    roles: catalogue.roles,
    notes: catalogue.notes,
    entries: () => dumpEntries(elements(), catalogue, userModel.toLowerCase())
  }
}
