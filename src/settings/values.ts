import { refusalOfOrigin } from '../domain/origin.js'

/** Refuses a value, with what it has to be. */
export const must = (what: string): never => {
  throw new Error(`must be ${what}`)
}

export const text = (text: string) => (text.trim() === '' ? must('a text') : text)

export const integer = (from: number, to: number) => (text: string) => {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  return value >= from && value <= to ? value : must(`a whole number from ${from} to ${to}`)
}

export const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** A duration such as 10m, in milliseconds. */
export const duration = (from: string, to: string) => {
  const read = (text: string) => {
    const match = /^(\d{1,9})(s|m|h|d)$/.exec(text)
    return match ? Number(match[1]) * units[match[2]!]! * 1000 : Number.NaN
  }
  return (text: string) => {
    const value = read(text)
    return value >= read(from) && value <= read(to)
      ? value
      : must(`a duration from ${from} to ${to}, such as 90s, 10m, 12h or 30d`)
  }
}

export const oneOf =
  <const T extends string>(...values: T[]) =>
  (text: string) =>
    values.find((value) => value === text) ?? must(`one of ${values.join(', ')}`)

export const flag = (text: string) =>
  text === 'true' || text === 'on' ? true : text === 'false' || text === 'off' ? false : must('true or false')

export const list =
  <T>(parse: (item: string) => T) =>
  (text: string): T[] =>
    text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '')
      .map(parse)

export function origin(text: string): string {
  const because = refusalOfOrigin(text)
  return because === null ? text : must(because)
}

export function pageUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) must('an http or https URL')
  if (url!.hash !== '' || url!.username !== '' || url!.password !== '') must('a URL without fragment and user')
  return text
}

/** A secret of 32 random bytes, in base64. */
export function secretKey(text: string): Buffer {
  const key = Buffer.from(text.trim(), 'base64')
  if (key.length !== 32) must('32 random bytes in base64: make one with `openssl rand -base64 32`')
  if (new Set(key).size < 8) must('random: make one with `openssl rand -base64 32`')
  return key
}
