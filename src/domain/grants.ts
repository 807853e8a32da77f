import type { Violation } from './refusal.js'

/** How the names of roles and permissions are written, for every door: HTTP, the command line, imports. */

/** A role: lower case, so that two spellings are never two roles. */
export const roleNamePattern = '^[a-z][a-z0-9_.:-]{0,63}$'
/** A permission, `articles.change_article` as Django writes it. */
export const permissionPattern = '^[A-Za-z][A-Za-z0-9_.:-]{0,127}$'

const roleForm = new RegExp(roleNamePattern)
const permissionForm = new RegExp(permissionPattern)

export const isPermissionName = (text: string): boolean => permissionForm.test(text)

/** Says what is wrong with the name of a role. */
export function judgeRoleName(name: string): Violation[] {
  if (roleForm.test(name)) return []
  const detail = 'Use 1 to 64 lower-case letters, digits and _ . : -, with a letter first.'
  return [{ pointer: '/name', code: 'pattern', detail }]
}

/** Says which names cannot be permissions. */
export function judgePermissions(names: readonly string[]): Violation[] {
  return names.flatMap((name, at) => {
    if (isPermissionName(name)) return []
    const detail = 'Use 1 to 128 letters, digits and _ . : -, with a letter first, such as articles.change_article.'
    return [{ pointer: `/permissions/${at}`, code: 'pattern', detail }]
  })
}
