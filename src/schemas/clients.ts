import { Type } from 'typebox'
import { closed, nullable, Permissions, printable, Roles, Scopes, Timestamp, Uuid } from './common.js'

const Name = Type.String({
  minLength: 1,
  maxLength: 100,
  pattern: printable,
  description: 'What it is, for administrators.',
  examples: ['billing']
})
const Audience = Type.Array(Type.String({ minLength: 1, maxLength: 300 }), {
  maxItems: 20,
  description:
    'Which of AUTH_AUDIENCE its tokens are for, and about whose access tokens it may ask; all of them where it is empty.'
})
const Jwk = Type.Object(
  { kty: Type.String({ maxLength: 20 }), alg: Type.String({ maxLength: 20 }) },
  { title: 'ClientKey', description: 'A public key (RFC 7517) with its one `alg`.', additionalProperties: true }
)
const Jwks = Type.Object(
  { keys: Type.Array(Jwk, { minItems: 1, maxItems: 10 }) },
  {
    title: 'ClientKeys',
    description: 'Its public keys: then it proves itself by assertions that it signs, and has no secret.',
    additionalProperties: false
  }
)

const Client = closed(
  {
    id: Type.String({ description: '`client_id`.', examples: ['ktc_0123456789ABCDEFGHIJKL'] }),
    account_id: Uuid,
    name: Type.String(),
    authentication: Type.Enum(['secret', 'keys']),
    jwks: Type.Union([Jwks, Type.Null()]),
    scopes: Type.Array(Type.String(), {
      description: 'What it may ask for; empty for tokens that are not limited beyond its account.'
    }),
    audience: Audience,
    roles: Type.Array(Type.String()),
    permissions: Type.Array(Type.String(), { description: 'Its own, beside those of its roles.' }),
    disabled: Type.Boolean(),
    created_at: Timestamp,
    last_used_at: nullable(Timestamp, { description: 'To the minute.' })
  },
  { title: 'Client', description: 'A service that authenticates itself. It is an account too.' }
)

export const ClientResponse = closed({ client: Client }, { title: 'ClientResponse' })
export const ClientList = closed({ clients: Type.Array(Client) }, { title: 'ClientList' })
export const MadeClient = closed(
  {
    client: Client,
    client_secret: Type.Optional(
      Type.String({
        description: 'Shown this once. Absent for a client with keys.',
        examples: ['kts_0123456789ABCDEFGHIJabcdefghij0123456789ABCDEFGHIJabc']
      })
    )
  },
  { title: 'MadeClient' }
)

export const NewClient = closed(
  {
    name: Name,
    scopes: Type.Optional(Scopes),
    audience: Type.Optional(Audience),
    roles: Type.Optional(Roles),
    permissions: Type.Optional(Permissions),
    jwks: Type.Optional(Jwks)
  },
  { title: 'NewClient', description: 'Without `jwks` it gets a secret.' }
)

export const ClientChange = closed(
  {
    name: Type.Optional(Name),
    scopes: Type.Optional(Scopes),
    audience: Type.Optional(Audience),
    jwks: Type.Optional(Jwks),
    disabled: Type.Optional(Type.Boolean())
  },
  {
    title: 'ClientChange',
    description: 'Roles and permissions are those of its account: PUT /v1/admin/users/{account_id}/roles.',
    minProperties: 1
  }
)

export const ClientParams = closed({ id: Type.String({ maxLength: 100, description: 'The id of a client.' }) })
