import { WrongEntry } from './files.js'

export type Fields = Readonly<Record<string, unknown>>

/** A member that is a text; null where it is missing, null or empty. */
export function text(fields: Fields, name: string): string | null {
  const value = fields[name]
  if (value === undefined || value === null || value === '') return null
  if (typeof value !== 'string') throw new WrongEntry(`"${name}" is not a text`)
  return value
}

/** A member that is true or false, in JSON or in one of the spellings of databases. */
export function flag(fields: Fields, name: string, fallback: boolean): boolean {
  const value = fields[name]
  if (value === undefined || value === null || value === '') return fallback
  const known = String(value).toLowerCase()
  if (['true', 't', '1'].includes(known)) return true
  if (['false', 'f', '0'].includes(known)) return false
  throw new WrongEntry(`"${name}" is neither true nor false`)
}

const instantForm = /^(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?))?\s*(Z|UTC|[+-]\d\d(?::?\d\d)?)?$/

/** A member that is an instant: ISO 8601, or as Postgres writes it. Without a zone it is taken for UTC. */
export function instant(fields: Fields, name: string): Date | null {
  const value = fields[name]
  if (value === undefined || value === null || value === '') return null
  const match = typeof value === 'string' ? instantForm.exec(value.trim()) : null
  const [, day, time = '00:00:00', zone = 'Z'] = match ?? []
  const offset =
    zone === 'UTC' ? 'Z' : zone.replace(/^([+-]\d\d):?(\d\d)?$/, (_, hours, minutes) => `${hours}:${minutes ?? '00'}`)
  const date = new Date(`${day}T${time}${offset}`)
  if (match === null || Number.isNaN(date.getTime())) throw new WrongEntry(`"${name}" is not a date and time`)
  return date
}

/** A member that is an instant in milliseconds since 1970, as a number or its digits. */
export function milliseconds(fields: Fields, name: string): Date | null {
  const value = fields[name]
  if (value === undefined || value === null || value === '') return null
  if (!/^\d{1,14}$/.test(String(value))) throw new WrongEntry(`"${name}" is not a number of milliseconds`)
  return new Date(Number(value))
}

/** A member that is a list; empty where it is missing or null. */
export function list(fields: Fields, name: string): readonly unknown[] {
  const value = fields[name] ?? []
  if (!Array.isArray(value)) throw new WrongEntry(`"${name}" is not a list`)
  return value
}

/** An id: a text or a whole number. */
export function idText(value: unknown, name: string): string {
  if (typeof value === 'string' && value !== '') return value
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  throw new WrongEntry(`"${name}" is missing, or not an id`)
}

export function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
