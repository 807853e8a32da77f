import { AuthUnreachableError, createAuthClient } from '@keyturn/client'
import { accountOf } from '@keyturn/client/account'

// Keyturn is behind the page's own origin, as vite.config.js has it. The access token is in memory, and the refresh token in a
// cookie that no script reads.
const auth = createAuthClient({ baseUrl: location.origin })
const account = accountOf(auth)

const find = (selector) => document.querySelector(selector)
const notice = find('#notice')

/** Loads a list and shows it. Everything is text: what others wrote is nobody's markup. */
async function show(selector, load, partsOf) {
  const { user } = auth.state
  const items = await load()
  // It may come late: what belongs to one is not shown to the next.
  if (auth.state.user?.id !== user?.id) return
  const lines = items.map((item) => {
    const line = document.createElement('li')
    line.append(...partsOf(item))
    return line
  })
  find(`${selector} ul`).replaceChildren(...lines)
}

function button(text, onclick) {
  return Object.assign(document.createElement('button'), { type: 'button', textContent: text, onclick })
}

/** A service said no. */
class Refused extends Error {}

/** Asks a service. Who is signed in is its business: `auth.fetch` sends the token, and refreshes it where it is refused. */
async function ask(path, body) {
  const sent = body && {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body)
  }
  const response = await auth.fetch(path, sent)
  if (!response.ok) throw new Refused(`${path}: ${response.status}`)
  return await response.json()
}

const loadArticles = async () => (await ask('/articles')).articles
const showArticles = () => show('#articles', loadArticles, ({ title }) => [title])

const showOrders = () =>
  show(
    '#orders',
    () => ask('/orders'),
    ({ fruit, price }) => [`${fruit}, ${price}`]
  )

async function loadSessions() {
  const { ok, data, problem } = await account.sessions()
  if (!ok) throw new Refused(problem.code)
  return data
}

const showSessions = () =>
  show('#sessions', loadSessions, ({ id, current, userAgent, lastUsedAt }) => [
    current ? 'this browser' : (userAgent ?? 'unknown'),
    `, ${new Date(lastUsedAt).toLocaleString()} `,
    ...(current ? [] : [button('End', () => attempt(() => account.revokeSession(id).then(showSessions)))])
  ])

/** Does something, and says what went wrong. */
async function attempt(work) {
  notice.textContent = ''
  try {
    await work()
  } catch (error) {
    // Whoever was signed out meanwhile is told of that.
    if (auth.state.status === 'anonymous' && error instanceof Refused) return
    // No sign-out: there is a session, and nobody can be asked at the moment.
    notice.textContent = error instanceof AuthUnreachableError ? 'Keyturn cannot be reached.' : error.message
  }
}

const showAll = () => attempt(() => Promise.all([showArticles(), showOrders(), showSessions()]))

/** Shows what the state asks for. A refresh is no change of it. */
function render() {
  const { state } = auth
  const user = state.user ?? null
  find('#sign-in').hidden = state.status !== 'anonymous'
  find('#page').hidden = user === null
  find('#name').textContent = user?.username ?? ''
  if (state.status === 'unreachable') notice.textContent = 'Keyturn cannot be reached. It is tried again by itself.'
}

auth.subscribe(render)
auth.on((event) => {
  if (event.type === 'signed_in') showAll()
  if (event.type === 'signed_out') {
    // What belongs to somebody goes with them: another one may be signed in next.
    for (const list of document.querySelectorAll('#page ul')) list.replaceChildren()
    notice.textContent = event.reason === 'revoked' ? 'You were signed out elsewhere.' : ''
  }
})

find('#sign-in').onsubmit = (event) => {
  event.preventDefault()
  const form = event.target
  const { username, password } = Object.fromEntries(new FormData(form))
  attempt(async () => {
    if (event.submitter?.name === 'register') {
      const registered = await account.register({ username, password })
      if (!registered.ok) throw new Error(registered.problem.detail ?? registered.problem.code)
    }
    const { ok, problem } = await auth.login({ username, password })
    if (!ok)
      throw new Error(problem.code === 'invalid_credentials' ? 'The name or the password is wrong.' : problem.code)
    form.reset()
  })
}

find('#articles form').onsubmit = (event) => {
  event.preventDefault()
  const form = event.target
  attempt(async () => {
    await ask('/articles', { title: form.elements.title.value })
    form.reset()
    await showArticles()
  })
}

find('#orders form').onsubmit = (event) => {
  event.preventDefault()
  const { fruit } = event.target
  attempt(() => ask('/orders', { fruit: fruit.value }).then(showOrders))
}

find('#sign-out').onclick = () => auth.logout()
find('#sign-out-everywhere').onclick = () => auth.logout({ everywhere: true })

render()
await auth.ready()
