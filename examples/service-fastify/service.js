// Articles: everybody reads, whoever is signed in writes, authors and editors change, administrators delete.
import { allow, createVerifier, fromEnv } from '@keyturn/verifier'
import { guard } from '@keyturn/verifier/fastify'
import Fastify from 'fastify'

const { PORT = '4001' } = process.env

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

const articles = [{ id: 1, title: 'Read by everybody', authorId: 'nobody' }]
let lastId = 1

const authorOrEditor = allow.any(
  allow.role('editor', 'admin'),
  allow.owner(({ resource }) => resource.authorId)
)
const adminOfNow = allow.all(allow.admin(), allow.maxAuthAge(300))
const title = { type: 'string', minLength: 1, maxLength: 200 }
const body = { type: 'object', required: ['title'], additionalProperties: false, properties: { title } }

const app = Fastify({ logger: { level: 'warn' } })

app.get('/readyz', async () => verifier.health())

app.register(async (scope) => {
  // Every route of this scope asks for somebody, unless it says otherwise.
  scope.register(guard, { verifier })

  scope.get('/articles', { config: { auth: allow.allowAny() } }, async ({ authOrNull }) => ({
    reader: authOrNull?.accountId ?? null,
    articles
  }))

  scope.post('/articles', { schema: { body } }, async ({ auth, body }, reply) => {
    const article = { id: ++lastId, title: body.title, authorId: auth.accountId }
    articles.push(article)
    return reply.code(201).send(article)
  })

  scope.patch('/articles/:id', { schema: { body } }, async ({ auth, params, body, method }, reply) => {
    const article = articles.find(({ id }) => id === Number(params.id))
    if (article === undefined) return reply.callNotFound()
    // Whose article it is, only the row says: what is asked for is judged once it was read.
    await verifier.admit(auth, authorOrEditor, { method, resource: article })
    article.title = body.title
    return article
  })

  // Asks for a sign-in of the last five minutes: a client that gets `reauthentication_required` asks for the password again.
  scope.delete('/articles/:id', { config: { auth: adminOfNow } }, async ({ params }, reply) => {
    const place = articles.findIndex(({ id }) => id === Number(params.id))
    if (place === -1) return reply.callNotFound()
    articles.splice(place, 1)
    return reply.code(204).send()
  })
})

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await app.close()
    await verifier.close()
  })
}

// The keys and what has ended are there before the first request.
await verifier.ready()
await app.listen({ port: Number(PORT), host: 'localhost' })
console.log(`articles: http://localhost:${PORT}`)
