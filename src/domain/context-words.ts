/** Shorter words are in too many passwords by chance. */
const shortest = 3

/** What is written for a letter (leet), and letters that are written for each other. */
const lookAlikes: Readonly<Record<string, string>> = {
  '0': 'o',
  '1': 'i',
  '!': 'i',
  '|': 'i',
  l: 'i',
  '2': 'z',
  '3': 'e',
  '4': 'a',
  '@': 'a',
  '5': 's',
  $: 's',
  '6': 'g',
  '9': 'g',
  '7': 't',
  '+': 't',
  '8': 'b'
}

interface Character {
  /** As it was written, without case, accents and width. */
  readonly written: string
  /** The letter that it stands for. */
  readonly meant: string
}

/** A text's letters and digits, and what stands for them; what separates them is gone. */
function fold(text: string): Character[] {
  const plain = text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase()
  return [...plain]
    .map((written) => ({ written, meant: lookAlikes[written] ?? written }))
    .filter(({ meant }) => /[\p{L}\p{N}]/u.test(meant))
}

const meaning = (folded: readonly Character[]) => folded.map(({ meant }) => meant)

/** A name as a whole, and its parts: `ada.lovelace`, `ada` and `lovelace`. */
function partsOf(name: string): string[] {
  return [name, ...name.split(/[^\p{L}\p{N}\p{M}]+/u)]
}

/** The names of a service, out of the address at which it is reached; none out of an IP address. */
export function wordsOfIssuer(issuer: string): string[] {
  const { hostname } = new URL(issuer)
  return /^\[|^[\d.]+$/.test(hostname) ? [] : hostname.split('.')
}

/** Whether the letters of a word stand in a text from a place on. */
const standsAt = (text: readonly string[], word: readonly string[], at: number) =>
  word.every((letter, n) => text[at + n] === letter)

export interface Rest {
  /** Its letters and digits, without case. */
  readonly text: string
  /** How many they are, where a run (aaaa, 1234) counts as one. */
  readonly length: number
}

/**
 * What is left of a password without the words that whoever guesses it knows (NIST SP 800-63B-4 §3.1.1.2: the service's name,
 * the username, and derivatives thereof): in any case and script form, with digits for letters, with whatever between them, and
 * as often as they are in it. Null where no such word is in it.
 */
export function restWithoutWords(password: string, words: readonly string[]): Rest | null {
  const folded = fold(password)
  const text = meaning(folded)
  const isKnown = new Array<boolean>(text.length).fill(false)
  for (const word of new Set(words.flatMap(partsOf))) {
    const letters = meaning(fold(word))
    if (letters.length < shortest) continue
    for (let at = 0; at + letters.length <= text.length; at++) {
      if (standsAt(text, letters, at)) isKnown.fill(true, at, at + letters.length)
    }
  }
  if (!isKnown.includes(true)) return null
  const rest = folded.filter((_, at) => !isKnown[at]).map(({ written }) => written)
  const isOfRun = (written: string, at: number) =>
    at > 0 && Math.abs(written.codePointAt(0)! - rest[at - 1]!.codePointAt(0)!) <= 1
  return { text: rest.join(''), length: rest.filter((written, at) => !isOfRun(written, at)).length }
}
