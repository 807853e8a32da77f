/** The cursor of whoever has read nothing yet. */
export const origin = '0'

/** What a cursor looks like: the id of the last entry that was read, and a check of what that entry said. */
export const cursorPattern = '^(0|[1-9][0-9]{0,15}\\.[A-Za-z0-9_-]{8})$'
const cursorForm = new RegExp(cursorPattern)

export function isCursor(text: unknown): text is string {
  return typeof text === 'string' && cursorForm.test(text)
}

/** The id in a cursor; 0 for the origin. */
export function idOf(cursor: string): number {
  return Number(cursor.split('.', 1)[0])
}
