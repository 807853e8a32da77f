// Lets Node run TypeScript, for the tests: node --import. What tap has for it compiles every file anew in every process, and
// is left out in .taprc.
import { register } from 'node:module'

// A test's process needs it; what that starts is no test.
if (process.env.TAP_CHILD_ID !== undefined) {
  const others = (process.env.NODE_OPTIONS ?? '').split(' ').filter((option) => !option.includes(import.meta.url))
  if (others.join('') === '') delete process.env.NODE_OPTIONS
  else process.env.NODE_OPTIONS = others.join(' ')
}
// A test of single modules loads few, and wants those alone.
const isBundled = !/\/test\/domain\//.test(process.argv[1] ?? '')
register('./typescript-hooks.js', import.meta.url, {
  data: { bundle: isBundled ? process.env.TEST_BUNDLE : undefined }
})
