/**
 * A read that never answers with what was there before it was asked for: who asks while one is under way waits for the
 * next, since what is under way may have missed what was just committed. However many ask, one runs at a time.
 */
export function freshRead(load: () => Promise<void>): () => Promise<void> {
  let current: Promise<void> | undefined
  let next: Promise<void> | undefined

  return function read(): Promise<void> {
    if (current === undefined) {
      current = load().finally(() => {
        current = undefined
      })
      return current
    }
    next ??= current
      .catch(() => {})
      .then(() => {
        next = undefined
        return read()
      })
    return next
  }
}
