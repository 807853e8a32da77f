import t from 'tap'
import { rateLimitHeaders, type Standing } from '../../src/domain/rate-limit.js'

const standing: Standing = { policy: 'sign-in', rate: { max: 100, window: 60_000 }, remaining: 99, reset: 60 }

t.test('an answer to a request that nobody counted says nothing', async (t) => {
  t.same(rateLimitHeaders([]), {})
})

t.test('each limit is a member of two lists, by its name (RFC 9651)', async (t) => {
  const other: Standing = { policy: 'refresh', rate: { max: 5, window: 1_500 }, remaining: 0, reset: 2 }
  t.same(rateLimitHeaders([standing, other]), {
    'ratelimit-policy': '"sign-in";q=100;w=60, "refresh";q=5;w=2',
    ratelimit: '"sign-in";r=99;t=60, "refresh";r=0;t=2'
  })
})
