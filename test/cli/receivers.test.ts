import t from 'tap'
import { receiver } from '../support/receiver.js'
import { terminal } from '../support/terminal.js'

t.test('receivers are added, tried, listed, rested and removed in the terminal', async (t) => {
  const { run, json } = await terminal(t)
  const shop = await receiver(t)
  const { id } = await json(
    `receiver add ${shop.url} --audience shop --authorization --note the-shop`,
    'Bearer secret\n'
  )
  t.match(await run(`receiver test ${id}`), { code: 0, stdout: 'Delivered. It answered 202.\n' })
  t.equal(shop.received[0]!.headers.authorization, 'Bearer secret')
  const { receivers } = await json('receiver list')
  t.match(receivers, [
    { id, url: shop.url, audience: 'shop', note: 'the-shop', has_authorization: true, waiting: 0, failed: 0 }
  ])
  t.notMatch((await run('receiver list')).stdout, /secret/)
  t.equal((await run(`receiver disable ${id}`)).code, 0)
  t.match((await run('receiver list')).stdout, / off /)
  t.equal((await run(`receiver enable ${id}`)).code, 0)
  await shop.stop()
  t.match(await run(`receiver test ${id}`), { code: 1, stdout: /^Not delivered\. It did not answer: ECONNREFUSED/ })
  t.equal((await run(`receiver remove ${id}`)).code, 0)
  t.match(await run(`receiver remove ${id}`), { code: 1 })
})

t.test('a receiver without TLS, without a name or with no address is refused', async (t) => {
  const { run } = await terminal(t)
  t.match(await run('receiver add http://shop.example/ --audience shop'), { code: 1, stderr: /url: It must be https/ })
  t.match(await run('receiver add https://shop.example/'), { code: 2, stderr: /Name the audience/ })
  t.match(await run('receiver add --audience shop'), { code: 2, stderr: /Name one URL/ })
})
