import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { keyPair } from '../support/clients.js'
import { scratchFolder } from '../support/service.js'
import { terminal } from '../support/terminal.js'

t.test('a client is made, listed, given another secret, disabled, enabled and removed', async (t) => {
  const { run, json } = await terminal(t)
  const made = await json('client create billing --scopes read,write --permissions x --audience api')
  t.match(made.client_secret, /^kts_[0-9A-Za-z]{49}$/)
  const { id } = made.client
  t.match(made.client, {
    id: /^ktc_[0-9A-Za-z]{22}$/,
    name: 'billing',
    authentication: 'secret',
    scopes: ['read', 'write'],
    audience: ['api'],
    permissions: ['x'],
    disabled: false
  })
  const plain = await run('client create other')
  t.match(plain.stdout, /^ktc_\w{22}\nkts_\w{49}\n$/, 'a line each, for a pipe')
  const listed = await run('client list')
  t.match(listed.stdout, new RegExp(`${id} +billing +secret +read,write +enabled +never`))
  t.notMatch(listed.stdout, /kts_/)
  const { client_secret: next } = await json(`client rotate-secret ${id}`)
  t.match(next, /^kts_/)
  t.not(next, made.client_secret)
  t.match(await json(`client disable ${id}`), { client: { disabled: true } })
  t.match(await json(`client enable ${id}`), { client: { disabled: false } })
  t.match(await json(`client remove ${id}`), { removed: id })
  t.match(await json('client list'), { clients: [{ name: 'other' }] })
})

t.test('a client with keys, from a key set and from one key', async (t) => {
  const { run, json } = await terminal(t)
  const folder = scratchFolder(t)
  const file = (name: string, value: unknown) => {
    const path = join(folder, name)
    writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value))
    return path
  }
  const { jwk } = keyPair('ES256', 'one')
  const set = await json(`client create a --jwks ${file('set.json', { keys: [jwk] })}`)
  t.match(set.client, { authentication: 'keys' })
  t.notOk('client_secret' in set)
  const one = await run(`client create b --jwks ${file('one.json', jwk)}`)
  t.match(one.stdout, /^ktc_\w{22}\n$/)
  const wrong: Array<[string, number, RegExp]> = [
    [`client create c --jwks ${file('private.json', { ...jwk, d: 'x' })}`, 1, /private key/],
    [`client create c --jwks ${file('text.json', 'x')}`, 2, /cannot be read as JSON/],
    [`client create c --jwks ${file('null.json', 'null')}`, 1, /not a JWK/],
    [`client create c --jwks ${join(folder, 'none.json')}`, 2, /cannot be read/],
    ['client create c --audience other', 1, /AUTH_AUDIENCE/],
    [`client rotate-secret ${set.client.id}`, 1, /proves itself by its keys/]
  ]
  for (const [line, code, message] of wrong) {
    const outcome = await run(line)
    t.equal(outcome.code, code, line)
    t.match(outcome.stderr, message, line)
    t.equal(outcome.stdout, '', line)
  }
  t.equal((await json('client list')).clients.length, 2)
})
