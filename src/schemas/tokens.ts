import { Type } from 'typebox'
import { closed, nullable, Scopes, Timestamp, Uuid } from './common.js'

const ApiToken = closed(
  {
    id: Uuid,
    name: Type.String(),
    kind: Type.Enum(['personal', 'authtoken', 'knox']),
    hint: Type.String({ description: 'The last four characters of the key.' }),
    scopes: Type.Array(Type.String()),
    created_at: Timestamp,
    expires_at: nullable(Timestamp),
    last_used_at: nullable(Timestamp, { description: 'To the minute.' })
  },
  { title: 'ApiToken' }
)

export const ApiTokenList = closed({ tokens: Type.Array(ApiToken) }, { title: 'ApiTokenList' })

export const NewApiToken = closed(
  {
    name: Type.String({ minLength: 1, maxLength: 100, description: 'What it is for.', examples: ['backup script'] }),
    scopes: Type.Optional(Scopes),
    expires_in: Type.Optional(
      Type.Integer({ minimum: 60, maximum: 315_360_000, description: 'Seconds; without it the token never expires.' })
    )
  },
  { title: 'NewApiToken' }
)

export const MadeApiToken = closed(
  {
    key: Type.String({
      description: 'Shown this once. Send it as `Authorization: Token <key>`.',
      examples: ['ktt_0123456789ABCDEFGHIJabcdefghij012345']
    }),
    token: ApiToken
  },
  { title: 'MadeApiToken' }
)

export const ApiTokenParams = closed({ id: Type.String({ maxLength: 100, description: 'The id of an API token.' }) })

export const UserTokenParams = closed({
  id: Type.String({ maxLength: 100, description: 'The id of a user.' }),
  token_id: Type.String({ maxLength: 100, description: 'The id of an API token.' })
})
