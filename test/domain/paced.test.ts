import t from 'tap'
import { type Paced, paced } from '../../src/plugins/paced.js'

const interval = 300

/** What is paced, with the moments at which it ran, and how to await the next of them. */
function runner() {
  const ran: number[] = []
  let tell = () => {}
  const one: Paced = paced(() => {
    ran.push(performance.now())
    tell()
  }, interval)
  const next = () =>
    new Promise<void>((resolve) => {
      tell = resolve
    })
  return { one, ran, next }
}

t.test('who asks first is served at once, and those who ask soon after share the next run', async (t) => {
  const { one, ran, next } = runner()
  // What keeps the process alive while the pace's own timer does not.
  const timer = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(timer))
  one.ask()
  t.equal(ran.length, 1)
  const second = next()
  for (let n = 0; n < 10; n++) one.ask()
  t.equal(ran.length, 1)
  await second
  // A timer may be a millisecond early.
  t.ok(ran[1]! - ran[0]! >= interval - 2, `${ran[1]! - ran[0]!} ms`)
  const third = next()
  one.ask()
  t.equal(ran.length, 2, 'the last run counts as well')
  await third
  t.equal(ran.length, 3)
})

t.test('nothing is run once it is stopped', async (t) => {
  const [stopped, other] = [runner(), runner()]
  const timer = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(timer))
  for (const { one } of [stopped, other]) {
    one.ask()
    one.ask()
  }
  stopped.one.stop()
  await other.next()
  stopped.one.ask()
  t.equal(stopped.ran.length, 1)
  const never = runner()
  never.one.stop()
  never.one.ask()
  t.equal(never.ran.length, 0)
})
