// The token is in the fragment, which no server and no proxy log ever sees; it leaves by the request's body alone.
const form = document.querySelector('#setup')
const alert = document.querySelector('#alert')
const token = new URLSearchParams(location.hash.slice(1)).get('t')

form.hidden = false
if (!token)
  say('This link is not complete. Copy it from the terminal as a whole, or run "npx keyturn admin link" for a new one.')

function say(text) {
  alert.textContent = text
  alert.focus()
}

form.addEventListener('submit', async (event) => {
  event.preventDefault()
  const button = form.querySelector('button')
  button.disabled = true
  try {
    const { username, email, password } = Object.fromEntries(new FormData(form))
    const response = await fetch('/v1/register', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username, password, invitation: token, ...(email ? { email } : {}) })
    })
    const answer = await response.json()
    if (response.ok) {
      document.querySelector('#who').textContent = answer.user.username
      document.querySelector('#done').hidden = false
      form.hidden = true
      history.replaceState(null, '', location.pathname)
      return
    }
    const details = (answer.errors ?? []).map((error) => `${error.pointer.slice(1)}: ${error.detail}`)
    say([`${answer.title}.`, ...details].join(' '))
  } catch {
    say('The service did not answer. Try again.')
  } finally {
    button.disabled = false
  }
})
