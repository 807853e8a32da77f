import { Type } from 'typebox'
import { closed } from './common.js'

export const Jwks = closed(
  {
    keys: Type.Array(
      Type.Object(
        { kty: Type.String(), kid: Type.String(), use: Type.String(), alg: Type.String() },
        { additionalProperties: true, title: 'Jwk' }
      )
    )
  },
  { title: 'Jwks', description: 'RFC 7517. Public keys only.' }
)

export const Metadata = Type.Object(
  { issuer: Type.String(), jwks_uri: Type.String() },
  { additionalProperties: true, title: 'Metadata', description: 'RFC 8414.' }
)

export const Live = closed({ status: Type.Literal('ok') }, { title: 'Live' })

const check = Type.Enum(['ok', 'failed'])
export const Ready = closed(
  {
    status: Type.Enum(['ready', 'unavailable']),
    checks: closed({
      database: check,
      migrations: check,
      signing_key: check,
      revocations: check,
      accepting: Type.Enum(['ok', 'failed'], { description: '`failed` once the replica has been told to stop.' })
    })
  },
  { title: 'Ready' }
)
