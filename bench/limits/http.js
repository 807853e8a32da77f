// The floor below that: node:http alone.
import { createServer } from 'node:http'

const body = '{"status":"ok"}'
const headers = { 'content-type': 'application/json; charset=utf-8', 'content-length': body.length }
const server = createServer((_request, response) => response.writeHead(200, headers).end(body))
server.listen(Number(process.env.PORT), '127.0.0.1', () => console.log('listening'))
