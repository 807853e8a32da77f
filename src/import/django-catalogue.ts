import { type ImportedRole, isPermission, roleNames } from '../domain/imported-user.js'
import { type Numbered, WrongEntry } from './files.js'
import { type Fields, idText, instant, isObject, list, text } from './values.js'

interface Found {
  readonly found: string[]
  /** References to what the file does not have, or what cannot be taken over. */
  readonly missing: string[]
}

/** All of a dump that is not a user: as much as its groups, permissions and tokens, however many users there are. */
export interface Catalogue {
  readonly roles: readonly ImportedRole[]
  readonly notes: readonly string[]
  /** By their users, `#42` or `@ada`: about 200 bytes each. */
  readonly tokens: ReadonlyMap<string, { readonly key: string; readonly createdAt: Date | null; readonly at: number }>
  readonly wrong: ReadonlyArray<{ readonly at: number; readonly because: string }>
  rolesOf(references: readonly unknown[]): Found
  permissionsOf(references: readonly unknown[]): Found
}

/**
 * What stands for an object elsewhere: its primary key, or the list that its natural key is
 * (docs.djangoproject.com/en/stable/topics/serialization/#natural-keys).
 */
const referenceOf = (value: unknown) => JSON.stringify(value)

interface Permission {
  readonly codename: string
  readonly contentType: unknown
}

/** Reads a dump for everything but its users. */
export async function readCatalogue(elements: AsyncIterable<Numbered<Fields>>): Promise<Catalogue> {
  const appLabels = new Map<string, string>()
  const permissions = new Map<string, Permission>()
  const groups = new Map<string, { name: string; permissions: readonly unknown[] }>()
  const groupsOfName = new Map<string, { name: string; permissions: readonly unknown[] }>()
  const tokens = new Map<string, { key: string; createdAt: Date | null; at: number }>()
  const wrong: Array<{ at: number; because: string }> = []

  const readers: Record<string, (pk: unknown, fields: Fields, at: number) => void> = {
    'contenttypes.contenttype'(pk, fields) {
      appLabels.set(referenceOf(pk), required(fields, 'app_label'))
    },
    'auth.permission'(pk, fields) {
      permissions.set(referenceOf(pk), {
        codename: required(fields, 'codename'),
        contentType: fields.content_type
      })
    },
    'auth.group'(pk, fields) {
      const group = { name: required(fields, 'name'), permissions: list(fields, 'permissions') }
      if (pk !== undefined) groups.set(referenceOf(pk), group)
      groupsOfName.set(group.name, group)
    },
    'authtoken.token'(pk, fields, at) {
      const owner = Array.isArray(fields.user) ? `@${fields.user[0]}` : `#${idText(fields.user, 'user')}`
      const key = idText(pk, 'pk')
      if (!/^[0-9a-f]{40}$/.test(key)) throw new WrongEntry('this token is not 40 hexadecimal digits')
      if (tokens.has(owner)) throw new WrongEntry(`the user ${owner.slice(1)} has another token already`)
      tokens.set(detached(owner), { key: detached(key), createdAt: instant(fields, 'created'), at })
    }
  }
  for await (const element of elements) {
    // What is no object at all is told when the users are read.
    if ('because' in element) continue
    const { model, pk, fields } = element.value
    const name = String(model).toLowerCase()
    try {
      if (Object.hasOwn(readers, name)) readers[name]!(pk, isObject(fields) ? fields : {}, element.at)
    } catch (error) {
      if (!(error instanceof WrongEntry)) throw error
      wrong.push({ at: element.at, because: error.message })
    }
  }

  /**
   * `app_label.codename`, as Django's has_perm takes it; undefined where the file does not have all of it, or where it
   * cannot be a permission here.
   */
  const permissionName = (reference: unknown): string | undefined => {
    const known = permissions.get(referenceOf(reference))
    const [codename, app] = Array.isArray(reference)
      ? reference
      : Array.isArray(known?.contentType)
        ? [known.codename, known.contentType[0]]
        : [known?.codename, appLabels.get(referenceOf(known?.contentType))]
    const name = `${app}.${codename}`
    return app !== undefined && codename !== undefined && isPermission(name) ? name : undefined
  }
  const permissionsOf = (references: readonly unknown[]) => resolve(references, permissionName)

  const { names, notes } = roleNames([...groupsOfName.keys()])
  const roles: ImportedRole[] = []
  for (const group of groupsOfName.values()) {
    const { found, missing } = permissionsOf(group.permissions)
    if (missing.length > 0) {
      notes.push(
        `The group ${JSON.stringify(group.name)} has ${missing.length} permission(s) that are not in the file, or cannot be ` +
          'permissions here: dump auth.permission and contenttypes.contenttype too, or use --natural-foreign.'
      )
    }
    const description = `Django group ${group.name.replace(/\p{C}/gu, ' ')}`.slice(0, 200)
    roles.push({ name: names.get(group.name)!, description, permissions: [...new Set(found)].sort() })
  }
  return {
    roles,
    notes,
    tokens,
    wrong,
    permissionsOf,
    rolesOf: (references) =>
      resolve(references, (reference) => {
        const group = Array.isArray(reference)
          ? groupsOfName.get(String(reference[0]))
          : groups.get(referenceOf(reference))
        return group && names.get(group.name)
      })
  }
}

/** A copy: a text out of a larger one would keep all of that in memory, here 64 KiB of the file for each token. */
const detached = (text: string) => Buffer.from(text).toString()

function required(fields: Fields, name: string): string {
  const value = text(fields, name)
  if (value === null) throw new WrongEntry(`"${name}" is missing`)
  return value
}

function resolve(references: readonly unknown[], find: (reference: unknown) => string | undefined): Found {
  const found: string[] = []
  const missing: string[] = []
  for (const reference of references) {
    const name = find(reference)
    if (name === undefined) missing.push(referenceOf(reference))
    else found.push(name)
  }
  return { found, missing }
}
