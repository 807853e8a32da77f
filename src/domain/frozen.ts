const refuse = (): never => {
  throw new TypeError('a principal is shared by requests, and never changes')
}

/** A set that nobody changes: principals are shared by all requests of one token. */
class FrozenSet<T> extends Set<T> {
  constructor(values: Iterable<T>) {
    super()
    for (const value of values) super.add(value)
  }

  override add(): never {
    return refuse()
  }

  override delete(): never {
    return refuse()
  }

  override clear(): never {
    return refuse()
  }
}

const nothing = Object.freeze(new FrozenSet<never>([]))

export function frozenSet<T>(values: ReadonlySet<T>): ReadonlySet<T> {
  return values.size === 0 ? nothing : Object.freeze(new FrozenSet(values))
}

/** Freezes plain objects and lists all the way down. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  const isPlain = Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype
  if (!isPlain) return value
  Object.freeze(value)
  for (const member of Object.values(value)) deepFreeze(member)
  return value
}
