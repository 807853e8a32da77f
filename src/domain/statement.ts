/** What a statement does, and with which table: all that may be told of it. */
export interface StatementKind {
  readonly operation: string
  readonly table: string | undefined
}

const verbs = /\b(insert\s+into|update|delete\s+from|merge\s+into)\s+"?([a-z_][a-z_0-9]*)/i
const source = /\b(?:from|join)\s+"?(?!lateral\b|unnest\b)([a-z_][a-z_0-9]*)/i

/**
 * A statement in two words, out of its text alone: `insert session`. Where it begins with others (`with`), what it changes
 * counts.
 */
export function kindOfStatement(text: string): StatementKind {
  const first = /^\s*([a-z]+)/i.exec(text)?.[1]?.toLowerCase() ?? 'statement'
  if (first !== 'with' && first !== 'select' && !verbs.test(text)) return { operation: first, table: undefined }
  const change = first === 'select' ? null : verbs.exec(text)
  if (change !== null) return { operation: change[1]!.split(/\s/)[0]!.toLowerCase(), table: change[2] }
  return { operation: 'select', table: source.exec(text)?.[1] }
}
