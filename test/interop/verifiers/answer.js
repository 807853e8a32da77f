import { createInterface } from 'node:readline'

/** All that a verifier is told: whose tokens, for whom, and by which algorithm the issuer signs. */
export const [issuer, audience, algorithm] = process.argv.slice(2)

let metadata

/** What the issuer says of itself, asked for once (RFC 8414 §3.3). */
export async function discover() {
  if (metadata === undefined) {
    const found = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()
    if (found.issuer !== issuer) throw new Error('the metadata is another issuer’s')
    metadata = found
  }
  return metadata
}

/** Answers each line of the input, `{"token"}`, with `{"sub"}` or `{"refused"}`: `judge` gives the claims or throws. */
export async function answer(judge) {
  for await (const line of createInterface({ input: process.stdin })) {
    let said
    try {
      said = { sub: String((await judge(JSON.parse(line).token)).sub) }
    } catch (error) {
      said = { refused: `${error?.code ?? error?.name}: ${error?.message}` }
    }
    process.stdout.write(`${JSON.stringify(said)}\n`)
  }
}
