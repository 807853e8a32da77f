import { Type } from 'typebox'

/** Forms in, and what OAuth's endpoints answer. Parameters that nobody knows are ignored (RFC 6749 §3.2). */

const clientParameters = {
  client_id: Type.Optional(Type.String({ maxLength: 200, description: 'Where Authorization does not say it.' })),
  client_secret: Type.Optional(Type.String({ maxLength: 200 })),
  client_assertion: Type.Optional(Type.String({ maxLength: 8192, description: 'RFC 7523 §2.2.' })),
  client_assertion_type: Type.Optional(Type.String({ maxLength: 200 }))
}

export const TokenRequest = Type.Object(
  {
    grant_type: Type.String({ maxLength: 200, description: '`refresh_token` or `client_credentials`.' }),
    refresh_token: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })),
    scope: Type.Optional(
      Type.String({ maxLength: 4000, description: 'Some of what was granted; all of it where it is left out.' })
    ),
    ...clientParameters
  },
  { title: 'TokenRequest', description: 'RFC 6749 §4.4.2 and §6.', additionalProperties: true }
)

export const TokenResponse = Type.Object(
  {
    access_token: Type.String({ description: 'A JWT (RFC 9068) that any service verifies with the key set.' }),
    token_type: Type.Enum(['Bearer', 'DPoP'], { description: '`DPoP` where it is bound to a key (RFC 9449).' }),
    expires_in: Type.Integer({ description: 'Seconds until the access token expires.' }),
    scope: Type.Optional(Type.String({ description: 'Absent where the token is not limited to scopes.' })),
    refresh_token: Type.Optional(Type.String({ description: 'Good for one refresh.' })),
    refresh_token_timeout: Type.Optional(
      Type.Integer({ description: 'Seconds until the refresh token was not used for too long.' })
    ),
    authorization_expires_in: Type.Optional(
      Type.Integer({ description: "Seconds until the session's absolute end: no token outlives it." })
    )
  },
  { title: 'TokenResponse', description: 'RFC 6749 §5.1.', additionalProperties: false }
)

const inquiry = {
  token: Type.String({ minLength: 1, maxLength: 8192 }),
  token_type_hint: Type.Optional(Type.String({ maxLength: 100, description: 'Not needed: every kind is looked for.' })),
  ...clientParameters
}

export const RevocationRequest = Type.Object(inquiry, {
  title: 'RevocationRequest',
  description: 'RFC 7009 §2.1.',
  additionalProperties: true
})

export const IntrospectionRequest = Type.Object(inquiry, {
  title: 'IntrospectionRequest',
  description: 'RFC 7662 §2.1.',
  additionalProperties: true
})

const Seconds = Type.Optional(Type.Integer({ description: 'Seconds since 1970.' }))

export const IntrospectionResponse = Type.Object(
  {
    active: Type.Boolean(),
    sub: Type.Optional(
      Type.String({ description: "The id of the account; of the client's own where nobody signed in." })
    ),
    username: Type.Optional(Type.String()),
    token_type: Type.Optional(Type.String({ description: '`Bearer`, `DPoP` or `Token`.' })),
    scope: Type.Optional(Type.String({ description: 'What it is limited to; empty where it is not.' })),
    client_id: Type.Optional(Type.String()),
    iss: Type.Optional(Type.String()),
    // In this order: as text a list would be its members with commas between them.
    aud: Type.Optional(
      Type.Unsafe<string | readonly string[]>({ type: ['array', 'string'], items: { type: 'string' } })
    ),
    jti: Type.Optional(Type.String()),
    sid: Type.Optional(Type.String({ description: 'Its session.' })),
    exp: Seconds,
    iat: Seconds,
    auth_time: Seconds,
    amr: Type.Optional(Type.Array(Type.String())),
    acr: Type.Optional(Type.String()),
    roles: Type.Optional(Type.Array(Type.String())),
    permissions: Type.Optional(Type.Array(Type.String())),
    user_id: Type.Optional(Type.String({ description: 'The id that the account had in Django.' })),
    cnf: Type.Optional(
      Type.Object(
        { jkt: Type.String() },
        { description: 'The key whose proof has to come with the token (RFC 9449 §6.2).', additionalProperties: false }
      )
    )
  },
  {
    title: 'IntrospectionResponse',
    description: 'RFC 7662 §2.2. Nothing but `active` where it is false.',
    additionalProperties: false
  }
)

/** The media type of an answer that is signed. */
export const introspectionJwt = 'application/token-introspection+jwt'

export const SignedIntrospection = Type.String({
  title: 'SignedIntrospection',
  description: 'RFC 9701 §5: a JWT for the caller, with the answer in `token_introspection`.'
})

export const OauthError = Type.Object(
  { error: Type.String(), error_description: Type.Optional(Type.String()) },
  { title: 'OauthError', description: 'RFC 6749 §5.2.', additionalProperties: false }
)
