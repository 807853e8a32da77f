import t from 'tap'
import { needsChromium, startChromium } from '../support/chromium.js'
import { startExample } from '../support/examples.js'
import { until } from '../support/until.js'
import { goodPassword } from '../support/world.js'

t.test('examples/spa: two services, the sessions, and an end to one of them', needsChromium, async (t) => {
  const example = await startExample(t, 'spa', ['KEYTURN_PORT', 'FASTIFY_PORT', 'EXPRESS_PORT', 'SPA_PORT'])
  const browser = await startChromium(t)
  const faults: string[] = []

  /** A browser of its own, before the sign-in. */
  async function visit() {
    const context = await browser.newContext()
    const page = await context.newPage()
    page.on('pageerror', (error) => faults.push(error.message))
    await page.goto(example.at('SPA_PORT'))
    await page.waitForSelector('#sign-in:not([hidden])')
    const submit = async (name: 'register' | 'sign-in', password = goodPassword) => {
      await page.fill('[name=username]', 'ada')
      await page.fill('[name=password]', password)
      await page.click(`button[name=${name}]`)
    }
    const lines = (list: string) => page.locator(`#${list} li`)
    return { context, page, submit, lines }
  }

  const one = await visit()
  await one.submit('register')
  await one.page.waitForSelector('#page:not([hidden])')
  t.equal(await one.page.textContent('#name'), 'ada')
  await one.page.fill('[name=title]', '<b>Mine</b>')
  await one.page.click('#articles button')
  await one.lines('articles').getByText('<b>Mine</b>').waitFor()
  await one.page.selectOption('[name=fruit]', 'pear')
  await one.page.click('#orders button')
  await one.lines('orders').getByText('pear, 2').waitFor()

  await one.page.reload()
  await one.lines('orders').getByText('pear, 2').waitFor()
  t.equal(await one.page.textContent('#name'), 'ada', 'a reload signs nobody out')
  t.same(
    await one.page.evaluate('[document.cookie, Object.entries(localStorage), Object.entries(sessionStorage)]'),
    ['', [], []],
    'and no script finds a token'
  )

  const other = await visit()
  await other.submit('sign-in', 'the wrong password')
  await other.page.getByText('The name or the password is wrong.').waitFor()
  await other.submit('sign-in')
  await other.lines('sessions').nth(1).waitFor()
  const both = await other.lines('sessions').allTextContents()
  t.equal(both.filter((line) => line.startsWith('this browser')).length, 1)
  t.equal(both.length, 2)

  await one.page.reload()
  await one.lines('sessions').getByText('End').click()
  await one.lines('sessions').nth(1).waitFor({ state: 'detached' })
  t.ok(
    await until(async () => {
      if (await other.page.isVisible('#sign-in')) return true
      await other.page.evaluate(
        "document.querySelector('#page').hidden || document.querySelector('#orders button').click()"
      )
      return false
    }),
    'a service refuses the session that was ended, and its page is back at the sign-in'
  )
  t.same(await other.lines('orders').count(), 0, 'with nothing left of who was there')
  await other.page.getByText('You were signed out elsewhere.').waitFor()

  const second = await one.context.newPage()
  await second.goto(example.at('SPA_PORT'))
  await second.waitForSelector('#page:not([hidden])')
  await one.page.click('#sign-out')
  for (const page of [one.page, second]) await page.waitForSelector('#sign-in:not([hidden])')
  const tokens = async () => (await one.context.cookies()).filter(({ name }) => name !== 'keyturn-device')
  t.ok(
    await until(async () => (await tokens()).length === 0),
    'a sign-out holds in all tabs, and takes the token along'
  )
  t.same(faults, [])
})
