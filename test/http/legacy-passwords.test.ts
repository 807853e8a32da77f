import pg from 'pg'
import t, { type Test } from 'tap'
import { HashQueue } from '../../src/hashing/queue.js'
import { passwordVectors } from '../support/password-vectors.js'
import { type Change, goodPassword, type World, world } from '../support/world.js'

/** Accounts with the password strings that other systems wrote. */
async function moved(t: Test, change?: Change) {
  // Hashes that cost what they cost elsewhere, one at a time: how long they wait is not what this is about.
  const w = await world(t, (options) => {
    const patient = { ...options, passwords: { ...options.passwords, maxWait: 60_000 } }
    return change === undefined ? patient : change(patient)
  })
  const client = new pg.Client({ connectionString: w.url })
  await client.connect()
  t.teardown(() => client.end())
  return {
    ...w,
    client,
    async account(name: string, hash: string) {
      await client.query(
        `insert into account (id, username, username_key, password_hash, password_changed_at, created_at)
         values (gen_random_uuid(), $1, $1, $2, now(), now())`,
        [name, hash]
      )
      return name
    },
    async hashOf(name: string): Promise<string> {
      const { rows } = await client.query('select password_hash from account where username_key = $1', [name])
      return rows[0].password_hash
    }
  }
}

const signIn = (w: Pick<World, 'post'>, username: string, password: string) =>
  w.post('/v1/login', { username, password })

const events = (w: Pick<World, 'logs'>, event: string) =>
  w.logs.map((line) => JSON.parse(line)).filter((entry) => entry.event === event)

/** One of each scheme, with a password that nobody could have composed differently and one that could. */
const oneOfEach = [...new Map(passwordVectors.map((vector) => [vector.scheme, vector])).values()]

t.test('each scheme signs in, and is argon2id from then on', async (t) => {
  const w = await moved(t)
  t.equal(oneOfEach.length, 10)
  for (const { scheme, password, encoded } of oneOfEach) {
    const name = await w.account(`user-${scheme}`, encoded)

    t.equal((await signIn(w, name, `${password.slice(1)}!`)).statusCode, 401, `${scheme}: a wrong password`)
    t.equal(await w.hashOf(name), encoded, `${scheme}: a wrong password changes nothing`)

    t.equal((await signIn(w, name, password)).statusCode, 200, scheme)
    t.match(await w.hashOf(name), /^\$argon2id\$v=19\$m=8,t=1,p=1\$/, scheme)
    t.match(events(w, 'password.upgraded').at(-1), { scheme }, `${scheme} is told`)

    t.equal((await signIn(w, name, password)).statusCode, 200, `${scheme}: once more`)
    t.equal((await signIn(w, name, password.normalize('NFC'))).statusCode, 200, `${scheme}: in any composition now`)
    t.equal((await signIn(w, name, `${password.slice(1)}!`)).statusCode, 401, `${scheme}: still not with another`)
  }
  t.equal(events(w, 'password.upgraded').length, oneOfEach.length, 'each once')
  const secrets = oneOfEach.flatMap(({ encoded, password }) => [encoded, password])
  t.equal(w.logs.filter((line) => secrets.some((secret) => line.includes(secret))).length, 0, 'no log has any of it')
})

t.test('a password that is shorter than new ones must be still signs in', async (t) => {
  const w = await moved(t)
  const short = passwordVectors.find(({ password }) => password === 'short')!
  const name = await w.account('old-timer', short.encoded)
  t.equal((await signIn(w, name, short.password)).statusCode, 200)
  t.match(await w.hashOf(name), /^\$argon2id\$/)
})

t.test('a string that cannot be checked is a wrong password, whatever was typed', async (t) => {
  const w = await moved(t)
  for (const stored of ['md5$salt$5f4dcc3b5aa765d61d8327deb882cf99', 'pbkdf2_sha256$1000$salt$', '$']) {
    const name = await w.account(`user-${stored.length}`, stored)
    for (const password of ['password', '']) t.not((await signIn(w, name, password)).statusCode, 200)
    t.equal((await signIn(w, name, 'password')).json().code, 'invalid_credentials')
  }
})

t.test('the own password is confirmed and changed also where it came from elsewhere', async (t) => {
  const w = await moved(t)
  const { encoded, password } = passwordVectors.find(({ scheme }) => scheme === 'pbkdf2_sha256')!
  const name = await w.account('mover', encoded)
  const { access_token } = (await signIn(w, name, password)).json()
  await w.client.query('update account set password_hash = $1 where username = $2', [encoded, name])
  const change = { current_password: password, new_password: `${goodPassword} staple` }
  t.equal((await w.as(access_token, 'POST', '/v1/me/password', change)).statusCode, 204)
  t.match(await w.hashOf(name), /^\$argon2id\$/)
})

t.test('sign-ins of one account at once all succeed while its hash changes under them', async (t) => {
  const w = await moved(t)
  const { encoded, password } = passwordVectors.find(({ scheme }) => scheme === 'bcrypt')!
  const name = await w.account('tabs', encoded)
  await w.warm()
  const answers = await Promise.all(Array.from({ length: 6 }, () => signIn(w, name, password)))
  t.same(
    answers.map(({ statusCode }) => statusCode),
    Array(6).fill(200)
  )
  t.equal(events(w, 'password.upgraded').length, 1)
})

/** Holds every thread of the queue that makes and checks our own hashes, until it is let go. */
function holdMainQueue(t: Test) {
  const run = HashQueue.prototype.run
  let isHeld = false
  HashQueue.prototype.run = function (job) {
    return isHeld && job.kind !== 'verify-legacy' ? Promise.reject(new Error('held')) : run.call(this, job)
  }
  t.teardown(() => {
    HashQueue.prototype.run = run
  })
  return {
    hold() {
      isHeld = true
    },
    letGo() {
      isHeld = false
    }
  }
}

t.test(
  'a right password signs in although its new hash cannot be made now, which is tried again next time',
  async (t) => {
    const w = await moved(t)
    const { encoded, password, scheme } = passwordVectors.find(({ scheme }) => scheme === 'scrypt')!
    const name = await w.account('patient', encoded)
    const queue = holdMainQueue(t)
    queue.hold()
    t.equal((await signIn(w, name, password)).statusCode, 200)
    t.equal(await w.hashOf(name), encoded)
    t.match(events(w, 'password.upgrade_postponed').at(-1), { scheme })
    queue.letGo()
    t.equal((await signIn(w, name, password)).statusCode, 200)
    t.match(await w.hashOf(name), /^\$argon2id\$/)
  }
)

t.test('a flood of sign-ins with old hashes is refused at its bounds, and delays nobody else', async (t) => {
  const w = await moved(t, (options) => ({ ...options, passwords: { ...options.passwords, maxWaiting: 14 } }))
  const { encoded } = passwordVectors.find(({ encoded }) => encoded.startsWith('bcrypt$$2b$12'))!
  const old = await w.account('old', encoded)
  await w.post('/v1/register', { username: 'young', password: goodPassword })
  await w.warm()

  const finished: string[] = []
  const flood = Array.from({ length: 12 }, () =>
    signIn(w, old, 'not the password at all').then((answer) => {
      finished.push('old')
      return answer
    })
  )
  const others = await Promise.all(
    Array.from({ length: 3 }, () =>
      signIn(w, 'young', goodPassword).then((answer) => {
        finished.push('young')
        return answer
      })
    )
  )
  t.same(
    others.map(({ statusCode }) => statusCode),
    [200, 200, 200]
  )
  const answers = await Promise.all(flood)
  const refused = answers.filter(({ statusCode }) => statusCode === 503)
  t.equal(refused.length, 4, 'one is checked, and seven wait in half of the places')
  t.match(refused[0]!.json(), { code: 'overloaded' })
  t.ok(refused[0]!.headers['retry-after'])
  t.equal(answers.filter(({ statusCode }) => statusCode === 401).length, 8)
  t.ok(finished.lastIndexOf('young') < finished.lastIndexOf('old'), 'nobody waited behind the flood')
})
