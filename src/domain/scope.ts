import type { Violation } from './refusal.js'

/** A scope as OAuth writes it (RFC 6749 §3.3), without the two characters that would need escaping. */
const scopeForm = /^[\x21\x23-\x5b\x5d-\x7e]{1,64}$/

/** The scopes of a text that separates them by spaces. */
export function scopesOf(text: string): ReadonlySet<string> {
  return new Set(text === '' ? [] : text.split(' '))
}

/** Says what is wrong with scopes that a credential is to be limited to. */
export function judgeScopes(scopes: readonly string[]): Violation[] {
  return scopes.flatMap((scope, at) => {
    if (scopeForm.test(scope)) return []
    const detail = 'Use 1 to 64 printable characters without spaces, quotes and backslashes.'
    return [{ pointer: `/scopes/${at}`, code: 'pattern', detail }]
  })
}

/**
 * The scopes that a request asks for, sorted, each once; all that were granted where it asks for none (RFC 6749 §3.3).
 * Undefined where it asks for one that was not granted, or cannot be read: what was granted may be narrowed and never
 * widened (RFC 9700 §4.14.2). Where none was granted there is none to ask for: a service that looks for a scope must
 * not find one that nobody gave.
 */
export function narrow(granted: readonly string[], asked: string | undefined): string[] | undefined {
  if (asked === undefined) return [...granted].sort()
  const scopes = [...new Set(asked.split(' '))].sort()
  return scopes.every((scope) => granted.includes(scope)) ? scopes : undefined
}
