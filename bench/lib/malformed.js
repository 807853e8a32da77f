// Every way in which a credential can be broken, for the table of the tests and for the bench.

/** A text with the lowest bit of one character turned over. */
const flipped = (text, at) => text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ 1) + text.slice(at + 1)

/**
 * Broken forms of a good credential, by their titles. `changed` are those whose form can still be good, where there is
 * no checksum in it: another password, say.
 */
export function brokenForms(good) {
  const middle = Math.floor(good.length / 2)
  const into = (piece) => good.slice(0, middle) + piece + good.slice(middle)
  const flips = [0, Math.floor(good.length / 4), middle, Math.floor((good.length * 3) / 4), good.length - 1]
  return [
    { title: 'one character', value: good[0], changed: false },
    { title: 'twice with a space between', value: `${good} ${good}`, changed: false },
    { title: 'twice with a comma between', value: `${good},${good}`, changed: false },
    { title: 'in quotes', value: `"${good}"`, changed: false },
    { title: 'without its last character', value: good.slice(0, -1), changed: true },
    { title: 'its first half', value: good.slice(0, middle), changed: true },
    { title: 'with a character more', value: `${good}A`, changed: true },
    { title: 'with a character before', value: `A${good}`, changed: true },
    ...flips.map((at) => ({ title: `a bit turned over in character ${at}`, value: flipped(good, at), changed: true })),
    { title: '8 KiB and one character', value: 'A'.repeat(8_193), changed: false },
    { title: '14 KB', value: `${good}${'A'.repeat(14_000 - good.length)}`, changed: false },
    { title: 'a NUL in it', value: into('\u0000'), changed: false, isControl: true },
    { title: 'a control character in it', value: into('\u0001'), changed: false, isControl: true },
    { title: 'a tab in it', value: into('\t'), changed: false },
    { title: 'DEL in it', value: into('\u007f'), changed: false, isControl: true },
    { title: 'a letter with an accent in it', value: into('é'), changed: false },
    { title: 'an emoji in it', value: into('😀'), changed: false }
  ]
}
