// Serves the page as Vite would, by what vite.config.js says and with the esbuild of this repository: nothing is installed.
import { readFile } from 'node:fs/promises'
import http from 'node:http'
import { join } from 'node:path'
import { pipeline } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import config from './vite.config.js'

const folder = fileURLToPath(new URL('.', import.meta.url))
const { port, proxy } = config.server
const types = { '/': 'text/html', '/src/main.js': 'text/javascript', '/src/style.css': 'text/css' }

/** What the browser gets of a file. */
async function contentOf(path) {
  if (path !== '/src/main.js') return await readFile(join(folder, path === '/' ? 'index.html' : path))
  const { outputFiles } = await build({ entryPoints: [join(folder, path)], bundle: true, write: false, format: 'esm' })
  return outputFiles[0].contents
}

function passOn(request, response, target) {
  const { method, headers, url } = request
  const outgoing = http.request(new URL(url, target), { method, headers })
  outgoing.on('response', (answer) => {
    response.writeHead(answer.statusCode, answer.rawHeaders)
    pipeline(answer, response, () => {})
  })
  // Keyturn or a service is away: the page goes on, and nobody is signed out.
  outgoing.on('error', () => {
    if (response.headersSent) response.destroy()
    else response.writeHead(502).end()
  })
  pipeline(request, outgoing, () => {})
}

const server = http.createServer(async (request, response) => {
  const [path] = request.url.split('?', 1)
  const [, target] = Object.entries(proxy).find(([prefix]) => path.startsWith(prefix)) ?? []
  if (target) return passOn(request, response, target)
  if (!Object.hasOwn(types, path)) return response.writeHead(404).end()
  try {
    response.setHeader('content-type', `${types[path]}; charset=utf-8`).end(await contentOf(path))
  } catch (error) {
    response.writeHead(500).end(error.message)
  }
})
server.listen(port, 'localhost', () => console.log(`page: http://localhost:${port}`))
