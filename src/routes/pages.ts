import { readFileSync } from 'node:fs'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import fp from 'fastify-plugin'
import { Refusal, refusalCodes } from '../domain/refusal.js'
import { Html, problems } from '../schemas/common.js'
import { explanationOf, ProblemExplanation, ProblemParams } from '../schemas/problems.js'

/** Pages for people: no inline script or style, nothing from another origin. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'"
].join('; ')

const assets = new URL('../assets/pages/', import.meta.url)
const read = (file: string) => readFileSync(new URL(file, assets), 'utf8')

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escapeHtml = (text: string) => text.replace(/[&<>"']/g, (character) => escapes[character]!)

const explanation = {
  description: 'For programs, and for people.',
  content: { 'application/json': { schema: ProblemExplanation }, 'text/html': { schema: Html } }
}

const routes: FastifyPluginAsyncTypebox = async (app) => {
  const layout = read('layout.html')
  const page = (reply: FastifyReply, title: string, main: string, script = '') =>
    reply
      .serializer(String)
      .header('content-security-policy', contentSecurityPolicy)
      .header('cache-control', 'no-store')
      .type('text/html; charset=utf-8')
      .send(
        layout
          .replace('{{title}}', () => escapeHtml(title))
          .replace('{{main}}', () => main)
          .replace('{{script}}', () => script)
      ) as never

  for (const [file, type] of [
    ['page.css', 'text/css; charset=utf-8'],
    ['setup.js', 'text/javascript; charset=utf-8'],
    ['icon.svg', 'image/svg+xml']
  ] as const) {
    const text = read(file)
    app.get(`/assets/${file}`, { schema: { hide: true } }, async (_request, reply) =>
      reply.header('cache-control', 'public, max-age=300').type(type).send(text)
    )
  }

  const setup = read('setup.html')
  app.get('/setup', { schema: { hide: true } }, async (_request, reply) =>
    page(reply, 'Create the first administrator', setup, '<script type="module" src="/assets/setup.js"></script>')
  )

  app.get('/problems', { schema: { hide: true } }, async (_request, reply) =>
    page(
      reply,
      'Problems',
      `<h1>Problems</h1><ul>${refusalCodes.map((code) => `<li><a href="/problems/${code}"><code>${code}</code></a></li>`).join('')}</ul>`
    )
  )

  app.get(
    '/problems/:code',
    {
      schema: {
        operationId: 'explainProblem',
        summary: 'What a problem code means, and what to do',
        description: 'A page for browsers; JSON for whoever asks with `Accept: application/json`.',
        tags: ['operation'],
        params: ProblemParams,
        response: { 200: explanation, ...problems(404) }
      }
    },
    async (request, reply) => {
      const entry = explanationOf(request.params.code)
      if (entry === undefined) throw new Refusal('not_found')
      if (!request.headers.accept?.includes('text/html')) return reply.send(entry)
      return page(
        reply,
        entry.title,
        `<h1>${escapeHtml(entry.title)}</h1>
<p><code>${entry.code}</code>, HTTP status ${entry.status}</p>
<h2>What it means</h2><p>${escapeHtml(entry.meaning)}</p>
<h2>What to do</h2><p>${escapeHtml(entry.remedy)}</p>
<p><a href="/problems">All problems</a></p>`
      )
    }
  )

  app.get(
    '/openapi.json',
    {
      schema: {
        operationId: 'readOpenapi',
        summary: 'This interface as an OpenAPI document',
        tags: ['operation'],
        response: { 200: { type: 'object', additionalProperties: true, description: 'OpenAPI 3.1.' } }
      }
    },
    async () => app.openapi()
  )
}

export const pageRoutes = fp(routes, {
  name: 'routes/pages',
  dependencies: ['openapi'],
  encapsulate: true,
  fastify: '5.x'
})
