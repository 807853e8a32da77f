/**
 * Finds a member name that occurs twice in one object of a JSON text, or undefined.
 *
 * JSON.parse keeps the last of them, other parsers the first: a proxy and this service could read two different
 * requests out of one body (RFC 8259 §4). The text must be valid JSON: it has been parsed before.
 */
export function duplicateMember(json: string): string | undefined {
  const objects: Array<Set<string> | null> = []
  let nameNext = false
  for (let at = 0; at < json.length; at++) {
    switch (json.charCodeAt(at)) {
      case 0x7b: // {
        objects.push(new Set())
        nameNext = true
        break
      case 0x5b: // [
        objects.push(null)
        nameNext = false
        break
      case 0x7d: // }
      case 0x5d: // ]
        objects.pop()
        nameNext = false
        break
      case 0x2c: // ,
        nameNext = objects.at(-1) != null
        break
      case 0x22: {
        const start = at++
        while (json.charCodeAt(at) !== 0x22) at += json.charCodeAt(at) === 0x5c ? 2 : 1
        const names = objects.at(-1)
        if (nameNext && names) {
          const name: string = JSON.parse(json.slice(start, at + 1))
          if (names.has(name)) return name
          names.add(name)
          nameNext = false
        }
        break
      }
    }
  }
  return undefined
}
