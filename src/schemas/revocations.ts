import { Type } from 'typebox'
import { cursorPattern } from '../domain/revocation-cursor.js'
import { closed } from './common.js'

const Cursor = Type.String({
  pattern: cursorPattern,
  maxLength: 32,
  description: 'What the last document said, letter by letter; `0`, or nothing, for everything.'
})

export const FeedQuery = closed({
  since: Type.Optional(Cursor),
  wait: Type.Optional(
    Type.String({
      pattern: '^([0-9]|[12][0-9]|30)$',
      maxLength: 2,
      description: 'Seconds to wait where there is nothing new, 30 at most.'
    })
  )
})

export const StreamQuery = closed({ since: Type.Optional(Cursor) })
export const StreamHeaders = Type.Object({ 'last-event-id': Type.Optional(Cursor) })

/** A response that is no JSON, by its media type. */
export const signed = (type: string, description: string) => ({
  description,
  content: { [type]: { schema: Type.String() } }
})

export const StatusListParams = closed({
  id: Type.String({ maxLength: 40, description: 'The number of a list, as in `uri` of an access token.' })
})

export const StatusListQuery = closed({
  time: Type.Optional(Type.String({ maxLength: 20, description: 'Lists of the past are not kept: 501.' }))
})

export const StatusLists = closed(
  { status_lists: Type.Array(Type.String()) },
  { title: 'StatusLists', description: 'Token Status List §9.' }
)
