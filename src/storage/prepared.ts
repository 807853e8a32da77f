import { CompiledQuery, type RawBuilder, sql } from 'kysely'
import type { Db } from './tables.js'

/** Stands in a statement's text for one of the values that an execution gives. */
type Value<Values> = (pick: (values: Values) => unknown) => RawBuilder<unknown>

/**
 * A statement whose text is composed once, for those that are executed most: each execution gives the values alone.
 * Everywhere else the text is composed anew each time, which costs more than it takes Postgres to look up a row.
 */
export function prepared<Values, Row>(
  compose: (value: Value<Values>) => RawBuilder<Row>
): (db: Db, values: Values) => Promise<Row[]> {
  let text = ''
  let picks: ReadonlyArray<(values: Values) => unknown> = []
  return async (db, values) => {
    if (text === '') {
      // In an object: a function of its own would be taken for a part of the text.
      const compiled = compose((pick) => sql.val({ pick })).compile(db)
      text = compiled.sql
      picks = compiled.parameters.map((parameter) => (parameter as { pick: (values: Values) => unknown }).pick)
    }
    const { rows } = await db.executeQuery<Row>(
      CompiledQuery.raw(
        text,
        picks.map((pick) => pick(values))
      )
    )
    return rows
  }
}
