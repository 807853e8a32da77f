// Requests as a client on a bad line makes them.
import http from 'node:http'

const agents = new Map()

/** One request; an answer that never comes whole is an error. `lost` sends it, and does not wait for the answer. */
export function send({ host, port }, { method = 'POST', path, body, headers = {}, lost = false, timeout = 10_000 }) {
  let agent = agents.get(port)
  if (agent === undefined) {
    agent = new http.Agent({ keepAlive: true, maxSockets: 64 })
    agents.set(port, agent)
  }
  const text = body === undefined ? undefined : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const request = http.request(
      {
        host,
        port,
        path,
        method,
        // What is lost takes its connection with it.
        agent: lost ? false : agent,
        timeout,
        headers: {
          ...(text === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
          ...headers
        }
      },
      (response) => {
        let answer = ''
        response.setEncoding('utf8').on('data', (chunk) => {
          answer += chunk
        })
        response.on('error', reject)
        response.on('end', () => {
          let json = {}
          try {
            if (answer !== '') json = JSON.parse(answer)
          } catch {
            json = { code: 'not_json' }
          }
          resolve({ status: response.statusCode, body: json, cookies: response.headers['set-cookie'] ?? [] })
        })
      }
    )
    request.on('timeout', () => request.destroy(new Error(`no answer within ${timeout} ms`)))
    request.on('error', reject)
    request.on('finish', () => {
      if (!lost) return
      // The service has it by now, and works on it or has answered.
      setTimeout(() => request.destroy(new Error('lost')), Math.random() * 4)
    })
    request.end(text)
  })
}

export function closeAgents() {
  for (const agent of agents.values()) agent.destroy()
}
