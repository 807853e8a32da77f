/** What a statement does, and with which table: all that may be told of it. */
export interface StatementKind {
  readonly operation: string
  readonly table: string | undefined
}

const verbs = /\b(insert\s+into|(?<!for\s)update|delete\s+from|merge\s+into)\s+"?(?!set\b)([a-z_][a-z_0-9]*)/gi
const source = /\b(?:from|join)\s+"?(?!lateral\b|unnest\b)([a-z_][a-z_0-9]*)/i

/**
 * A statement in two words, out of its text alone: `insert session`. Where it begins with others (`with`), what it changes
 * last counts.
 */
export function kindOfStatement(text: string): StatementKind {
  const first = /^\s*([a-z]+)/i.exec(text)?.[1]?.toLowerCase() ?? 'statement'
  const changes = first === 'select' ? [] : [...text.matchAll(verbs)]
  const change = first === 'with' ? changes.at(-1) : changes[0]
  if (change === undefined && first !== 'with' && first !== 'select') return { operation: first, table: undefined }
  if (change !== undefined) return { operation: change[1]!.split(/\s/)[0]!.toLowerCase(), table: change[2] }
  return { operation: 'select', table: source.exec(text)?.[1] }
}
