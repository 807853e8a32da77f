export { createAuthClient } from './client.js'
export type { LocalCode, Problem, ProblemCode, Result, ServiceCode } from './problem.js'
export * from './types.js'
