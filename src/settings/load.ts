import { define, optional } from './setting.js'
import { duration, integer } from './values.js'

const orOff = (parse: (text: string) => number) => (text: string) => (text === 'off' ? null : parse(text))

/** What is done where there is too much to do, and with clients that are slow. */
export const load = {
  AUTH_OVERLOAD_DELAY: define({
    help: 'Milliseconds by which the event loop may be late until sign-ins and registrations are answered 503 with Retry-After; changes and administration are from twice, refresh and introspection from four times that, key set, revocations and health never. `off` for no such limit.',
    fallback: '200',
    parse: orOff(integer(10, 60_000))
  }),
  AUTH_OVERLOAD_REQUESTS: define({
    help: 'Requests that may be under way until the same happens, in the same order; `off` for no such limit.',
    fallback: '1000',
    parse: orOff(integer(1, 1_000_000))
  }),
  AUTH_REQUEST_TIMEOUT: define({
    help: 'How long a request may take to arrive, head and body; its connection is closed then. A head has 10 s at most.',
    fallback: '15s',
    parse: duration('1s', '10m')
  }),
  AUTH_KEEP_ALIVE_TIMEOUT: define({
    help: 'How long a connection may be idle between two requests; longer than that of a proxy or load balancer in front.',
    fallback: '72s',
    parse: duration('1s', '1h')
  }),
  AUTH_MAX_CONNECTIONS: define({
    help: 'Connections of clients and proxies at a time; more are closed as they come. `off` for as many as the system gives.',
    fallback: '10000',
    parse: orOff(integer(1, 1_000_000))
  }),
  AUTH_SHUTDOWN_GRACE: optional({
    help: 'How long a replica that is told to stop (SIGTERM) still answers all that comes while /readyz is 503, so that proxies and load balancers find the others: longer than their interval of looking.',
    fallbackNote: '5s in production, else 0s',
    parse: duration('0s', '10m')
  })
}
