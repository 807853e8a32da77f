// Orders: everybody sees the prices, whoever is signed in orders and sees their own, administrators see all.
import { allow, createVerifier, fromEnv } from '@keyturn/verifier'
import { authErrors, authOf, guard } from '@keyturn/verifier/express'
import express from 'express'

const { PORT = '4002' } = process.env

const verifier = createVerifier(
  fromEnv({
    KEYTURN_ISSUER: 'http://localhost:3000',
    KEYTURN_AUDIENCE: 'api',
    // What has ended is asked for every 5 seconds. Where it cannot be learnt for a minute, requests are answered with 503.
    KEYTURN_REVOCATION: 'feed',
    KEYTURN_REVOCATION_INTERVAL: '5',
    KEYTURN_REVOCATION_ON_STALE: 'deny',
    ...process.env
  })
)

const prices = { apple: 1, pear: 2 }
const orders = []

const ownerOrAdmin = allow.any(
  allow.admin(),
  allow.owner(({ resource }) => resource.ownerId)
)

const app = express()
app.disable('x-powered-by')

app.get('/readyz', (_request, response) => response.json(verifier.health()))
app.get('/prices', (_request, response) => response.json(prices))

app.get('/orders', guard(verifier), (request, response) => {
  const { accountId } = authOf(request)
  response.json(orders.filter(({ ownerId }) => ownerId === accountId))
})

app.get('/orders/all', guard(verifier, allow.admin()), (_request, response) => response.json(orders))

// The guard stands before the body is read: who may not come in, sends nothing.
app.post('/orders', guard(verifier), express.json({ limit: '10kb' }), (request, response) => {
  const fruit = request.body?.fruit
  if (!Object.hasOwn(prices, String(fruit))) return response.status(400).json({ detail: 'Order an apple or a pear.' })
  const order = { id: orders.length + 1, fruit, price: prices[fruit], ownerId: authOf(request).accountId }
  orders.push(order)
  response.status(201).json(order)
})

app.get('/orders/:id', guard(verifier), async (request, response) => {
  const order = orders.find(({ id }) => id === Number(request.params.id))
  // Whose order it is, only the row says. To others there is none: its number is nobody's business.
  if (
    order === undefined ||
    !(await verifier.check(authOf(request), ownerOrAdmin, { method: 'GET', resource: order }))
  ) {
    return response.status(404).json({ detail: 'There is no such order.' })
  }
  response.json(order)
})

app.use(authErrors)

// The keys and what has ended are there before the first request.
await verifier.ready()
const server = app.listen(Number(PORT), 'localhost', (error) => {
  if (error) throw error
  console.log(`orders: http://localhost:${PORT}`)
})

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    server.close()
    await verifier.close()
  })
}
