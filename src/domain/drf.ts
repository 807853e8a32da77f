import { passwordMaxLength } from './password-policy.js'

/**
 * What Django REST Framework and its packages say on the wire, and how their serializers read a body. Their words are
 * part of the interface: clients compare them.
 */

export type DrfBody = Readonly<Record<string, unknown>> | readonly unknown[]

/** An answer of an endpoint of Django REST Framework that is not a success. */
export class DrfError extends Error {
  override readonly name = 'DrfError'
  constructor(
    readonly status: number,
    readonly body: DrfBody
  ) {
    super(`DRF ${status}`)
  }
}

export const detail = (text: string, code?: string): DrfBody => ({
  detail: text,
  ...(code === undefined ? {} : { code })
})

/** simplejwt's refusals of a token that was sent in a body. */
export const tokenErrors = {
  invalid: new DrfError(401, detail('Token is invalid', 'token_not_valid')),
  expired: new DrfError(401, detail('Token is expired', 'token_not_valid')),
  wrongType: new DrfError(401, detail('Token has wrong type', 'token_not_valid')),
  blacklisted: new DrfError(401, detail('Token is blacklisted', 'token_not_valid')),
  noAccount: new DrfError(401, detail('No active account found for the given token.')),
  passwordChanged: new DrfError(401, detail("The user's password has been changed."))
} as const

/** simplejwt's refusal of an access token in a header. */
export function accessTokenError(message: string): DrfError {
  return new DrfError(401, {
    ...detail('Given token not valid for any token type', 'token_not_valid'),
    messages: [{ token_class: 'AccessToken', token_type: 'access', message }]
  } as DrfBody)
}

export const invalid = (errors: Readonly<Record<string, readonly string[]>>): DrfError => new DrfError(400, errors)
export const nonField = (message: string): DrfError => invalid({ non_field_errors: [message] })

export interface CharField {
  /** `This field is required.` where it is missing; true where it is left out. */
  readonly required?: boolean
  /** Whether white space around it is taken off; true where it is left out. */
  readonly trim?: boolean
  readonly allowBlank?: boolean
  readonly maxLength?: number
}

/** Python's name for the type of a JSON value. */
function pythonType(value: unknown): string {
  if (Array.isArray(value)) return 'list'
  if (typeof value === 'string') return 'str'
  if (typeof value === 'boolean') return 'bool'
  return Number.isInteger(value) ? 'int' : 'float'
}

function charError(value: unknown, field: CharField): string | { readonly text: string } {
  if (value === null) return 'This field may not be null.'
  if (typeof value !== 'string' && typeof value !== 'number') return 'Not a valid string.'
  const text = field.trim === false ? String(value) : String(value).trim()
  if (text === '' && !field.allowBlank) return 'This field may not be blank.'
  if (text.includes('\0')) return 'Null characters are not allowed.'
  const { maxLength } = field
  if (maxLength !== undefined && [...text].length > maxLength) {
    return `Ensure this field has no more than ${maxLength} characters.`
  }
  return { text }
}

/**
 * Reads text fields out of a body as a serializer does: members that it does not know are passed over, numbers become
 * text, and what is wrong is told per field. Throws a DrfError.
 */
export function readFields<Name extends string>(
  body: unknown,
  fields: Readonly<Record<Name, CharField>>
): { readonly [N in Name]: string | undefined } {
  if (body === null) throw nonField('No data provided')
  if (typeof body !== 'object' || Array.isArray(body)) {
    throw nonField(`Invalid data. Expected a dictionary, but got ${pythonType(body)}.`)
  }
  const errors: Record<string, string[]> = {}
  const read: Record<string, string | undefined> = {}
  for (const [name, field] of Object.entries<CharField>(fields)) {
    if (!Object.hasOwn(body, name)) {
      if (field.required !== false) errors[name] = ['This field is required.']
      continue
    }
    const outcome = charError((body as Record<string, unknown>)[name], field)
    if (typeof outcome === 'string') errors[name] = [outcome]
    else read[name] = outcome.text
  }
  if (Object.keys(errors).length > 0) throw invalid(errors)
  return read as { readonly [N in Name]: string | undefined }
}

/** What Django's password validators say of the violations that ours found. */
export function djangoPasswordErrors(password: string, codes: readonly string[], minLength: number): string[] {
  const messages: string[] = []
  if (codes.includes('same_as_name') || codes.includes('known_name')) {
    messages.push('The password is too similar to the username.')
  }
  if (codes.includes('too_short')) {
    messages.push(`This password is too short. It must contain at least ${minLength} characters.`)
  }
  if (codes.includes('too_common') || codes.includes('breached')) messages.push('This password is too common.')
  if (codes.includes('too_long')) messages.push(`Ensure this field has no more than ${passwordMaxLength} characters.`)
  if (codes.includes('not_text')) messages.push('Null characters are not allowed.')
  // NIST forbids rules of composition, so digits alone are a reason only beside another one.
  if (messages.length > 0 && /^\d+$/.test(password)) messages.push('This password is entirely numeric.')
  return messages
}

export const usernameError =
  'Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters.'
