// Lets Node run TypeScript, for the tests: node --import. What tap has for it compiles every file anew in every process.
import { register } from 'node:module'

// tap's own stands back.
process.env.TAP_TYPE_STRIP_ONLY = '1'
// A test's process needs it; what that starts is no test.
if (process.env.TAP_CHILD_ID !== undefined) {
  const others = (process.env.NODE_OPTIONS ?? '').split(' ').filter((option) => !option.includes(import.meta.url))
  if (others.join('') === '') delete process.env.NODE_OPTIONS
  else process.env.NODE_OPTIONS = others.join(' ')
}
register('./typescript-hooks.js', import.meta.url)
