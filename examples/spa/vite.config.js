const { KEYTURN_PORT = '3000', FASTIFY_PORT = '4001', EXPRESS_PORT = '4002', SPA_PORT = '5173' } = process.env

const articles = `http://localhost:${FASTIFY_PORT}`
const orders = `http://localhost:${EXPRESS_PORT}`

/** Keyturn and both services are of the page's own origin: its cookie is sent, and nobody needs CORS. */
const proxy = {
  '/v1': `http://localhost:${KEYTURN_PORT}`,
  '/articles': articles,
  '/orders': orders,
  '/prices': orders
}

export default { server: { port: Number(SPA_PORT), strictPort: true, proxy } }
