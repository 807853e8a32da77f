/** One setting: the lists of these are the schema, `.env.example` and the documentation's table. */
export interface Setting<T> {
  readonly help: string
  /** The default as a person would write it; undefined where there is none. */
  readonly fallback?: string
  /** What stands in the list where the default follows from something else. */
  readonly fallbackNote?: string
  /** Never printed, and also read from the file that `<NAME>_FILE` names. */
  readonly secret?: boolean
  readonly example?: string
  /** Throws an Error that says what the value must be. */
  parse(text: string): T
}

/** A setting that always has a value. */
export const define = <T>(setting: Setting<T> & { readonly fallback: string }): Setting<T> => setting

/** A setting that may be missing: it has no default, or one that follows from something else. */
export const optional = <T>(setting: Setting<T>): Setting<T | undefined> => setting
