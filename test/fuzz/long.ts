import t from 'tap'
import { campaign } from './campaign.js'

/** The long form of routes.test.ts, by `npm run fuzz`. */

const requests = Number(process.env.FUZZ_REQUESTS ?? 50_000)

t.test(`${requests} requests of chance: no error of the service, no leak, no growth`, async (t) => {
  const { faults, sent, bytesPerRequest } = await campaign(t, requests)
  for (const fault of faults) t.fail(fault)
  t.ok(sent >= requests, `${sent} requests`)
  t.ok(bytesPerRequest < 300, `${bytesPerRequest} bytes of memory a request`)
})
