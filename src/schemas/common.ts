import { type TObject, type TProperties, type TString, Type } from 'typebox'
import { permissionPattern, roleNamePattern } from '../domain/grants.js'
import { passwordMaxLength } from '../domain/password-policy.js'

/** A closed object: a member that is not listed is an error, never ignored. */
export function closed<P extends TProperties>(
  properties: P,
  options: { title?: string; description?: string; minProperties?: number } = {}
): TObject<P> {
  return Type.Object(properties, { ...options, additionalProperties: false })
}

/** A text or null. One schema of two types: where there is a choice of schemas each is tried at every response. */
export const nullable = (schema: TString, options: { description?: string } = {}) =>
  Type.Unsafe<string | null>({ ...schema, ...options, type: ['string', 'null'] })

export const Timestamp = Type.String({ format: 'date-time', examples: ['2030-01-01T12:00:00.000Z'] })
export const Uuid = Type.String({ format: 'uuid', maxLength: 36 })
/** Text without control characters and halves of pairs, which a database may refuse. */
export const printable = '^[^\\p{Cc}\\p{Cs}]+$'

export const Username = Type.String({
  minLength: 1,
  maxLength: 150,
  pattern: printable,
  description: 'Letters and digits of any script and `_ . @ + -`. Unique without regard to case and look-alikes.',
  examples: ['ada']
})
export const Email = Type.String({ format: 'email', maxLength: 254, examples: ['ada@example.com'] })
export const Password = Type.String({
  minLength: 1,
  maxLength: passwordMaxLength,
  format: 'password',
  description: 'At most 1,024 characters.',
  examples: ['correct horse battery staple']
})
export const RoleName = Type.String({ pattern: roleNamePattern, maxLength: 64, examples: ['editor'] })
export const Permissions = Type.Array(Type.String({ pattern: permissionPattern, maxLength: 128 }), {
  maxItems: 100,
  description:
    'Names of permissions. `keyturn.introspect` may ask for tokens, `keyturn.audit` read the audit, `keyturn.revocations` read the revocations where they are not public; the others mean what your services say.',
  examples: [['articles.change_article']]
})
export const Scopes = Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
  maxItems: 50,
  description:
    'What the token is limited to; none for all that its account may do. `profile` reads the own account, `admin` ' +
    'administers (with the role), `introspect` asks for tokens, `audit` reads the audit and `revocations` reads revocations (with the permission); the others mean what your services say.',
  examples: [['profile']]
})
export const Roles = Type.Array(Type.String({ pattern: roleNamePattern, maxLength: 64 }), {
  maxItems: 50,
  description: 'Names of roles. `admin` may administer this service; the others mean what your services say.',
  examples: [['admin']]
})
export const InvitationText = Type.String({ minLength: 1, maxLength: 100, description: 'The text of an invitation.' })

const Problem = Type.Object(
  {
    type: Type.String({ description: 'Address of a page that explains the problem.' }),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ description: 'One out of a closed list: switch on this.' }),
    detail: Type.Optional(Type.String()),
    errors: Type.Optional(
      Type.Array(
        Type.Object(
          {
            pointer: Type.String({ description: 'JSON Pointer (RFC 6901) of the member.' }),
            code: Type.String(),
            detail: Type.String()
          },
          { additionalProperties: false }
        )
      )
    )
  },
  { title: 'Problem', description: 'RFC 9457.', additionalProperties: false }
)

const statuses = {
  400: 'The request is not valid; `errors` points at each wrong member.',
  401: 'No credentials, or none that are good.',
  403: 'Refused: `code` says why.',
  404: 'There is nothing here.',
  409: 'In conflict with what is there.',
  413: 'The body is larger than 16 KiB.',
  415: 'The body is not JSON.',
  429: 'Too many attempts. Try again after `Retry-After` seconds.',
  501: 'What is asked for is not supported.',
  503: 'The service cannot answer at this moment. Try again after `Retry-After` seconds.'
} as const

type ProblemResponse = { description: string; content: { 'application/problem+json': { schema: typeof Problem } } }

/** The problems that an operation answers with, as response schemas. */
export function problems(...codes: (keyof typeof statuses)[]): Record<number, ProblemResponse> {
  return Object.fromEntries(
    codes.map((status) => [
      status,
      { description: statuses[status], content: { 'application/problem+json': { schema: Problem } } }
    ])
  )
}

export const Html = Type.String({ description: 'A page.' })

/** No body. */
export const Empty = Type.Null({ title: 'Empty', description: 'Nothing more to say.' })
