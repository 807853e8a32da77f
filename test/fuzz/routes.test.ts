import t from 'tap'
import { campaign } from './campaign.js'

const requests = Number(process.env.FUZZ_REQUESTS ?? 3_000)

t.test(
  'whatever is sent to whichever route, the answer is one that openapi.yaml knows, and nothing stays behind',
  async (t) => {
    const { faults, sent, statuses, bytesPerRequest } = await campaign(t, requests)
    for (const fault of faults) t.fail(fault)
    t.ok(sent >= requests, `${sent} requests`)
    for (const status of [200, 400, 401, 403, 404]) t.ok(statuses.has(status), `some were answered with ${status}`)
    t.ok(bytesPerRequest < 1_500, `${bytesPerRequest} bytes of memory a request`)
  }
)
