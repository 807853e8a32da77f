import type { FastifyReply } from 'fastify'

/** Whether a request already has what this validator stands for (RFC 9110 §13.1.2, weak comparison). */
export function hasAlready(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  return ifNoneMatch.split(',').some((one) => one.trim().replace(/^W\//, '') === etag || one.trim() === '*')
}

export function notModified(reply: FastifyReply): never {
  return reply.code(304).send() as never
}
