import { Type } from 'typebox'
import { closed, Email, nullable, Password, Timestamp, Username, Uuid } from './common.js'
import { User } from './users.js'

export const Credentials = closed(
  {
    username: Type.Optional(Username),
    email: Type.Optional(Email),
    password: Password,
    refresh_transport: Type.Optional(
      Type.Enum(['body', 'cookie'], {
        description: '`cookie` puts the refresh token where no script reads it: for browsers. `body` is the default.'
      })
    ),
    session: Type.Optional(
      Type.Boolean({
        description: 'Also sets the session cookie, which speaks for the session on pages; with `cookie` alone.'
      })
    )
  },
  { title: 'Credentials', description: 'Exactly one of `username` and `email`.' }
)

export const Tokens = closed(
  {
    access_token: Type.String({ description: 'A JWT (RFC 9068) that any service verifies with the key set.' }),
    token_type: Type.Enum(['Bearer', 'DPoP'], {
      description: 'How the access token is sent. `DPoP` where the session is bound to a key (RFC 9449).'
    }),
    expires_in: Type.Integer({ description: 'Seconds until the access token expires.' }),
    refresh_token: Type.Optional(
      Type.String({ description: 'Good for one refresh. Absent where it is in the cookie.' })
    ),
    refresh_token_timeout: Type.Integer({ description: 'Seconds until the refresh token was not used for too long.' }),
    authorization_expires_in: Type.Integer({ description: "Seconds until the session's absolute end." }),
    user: User
  },
  { title: 'Tokens' }
)

export const RefreshRequest = closed(
  { refresh_token: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })) },
  { title: 'RefreshRequest', description: 'Empty where the refresh token is in the cookie.' }
)

export const SessionList = closed(
  {
    sessions: Type.Array(
      closed(
        {
          id: Uuid,
          user_agent: nullable(Type.String()),
          address: nullable(Type.String()),
          created_at: Timestamp,
          last_used_at: Timestamp,
          expires_at: Timestamp,
          current: Type.Boolean({ description: 'Whether this request belongs to it.' })
        },
        { title: 'Session' }
      )
    )
  },
  { title: 'SessionList' }
)

export const EndedCount = closed(
  { ended: Type.Integer({ description: 'How many sessions were alive.' }) },
  { title: 'EndedCount' }
)

export const SessionParams = closed({ id: Type.String({ maxLength: 100, description: 'The id of a session.' }) })
