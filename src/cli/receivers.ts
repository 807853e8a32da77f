import { type Command, one, table, UsageError } from './command.js'

const setEnabled = (enabled: boolean): Command => ({
  usage: `receiver ${enabled ? 'enable' : 'disable'} <id>`,
  summary: enabled
    ? 'Tell a receiver again of what ends from now on.'
    : 'Let a receiver rest. Of what ends meanwhile it is never told.',
  async run(call) {
    const id = one(call, 'receiver')
    await call.withApp((app) => app.flows.setReceiverEnabled(id, enabled))
    return { text: `${enabled ? 'Enabled' : 'Disabled'} ${id}.`, json: { id, enabled } }
  }
})

/** Who is told of ended sessions by a POST (RFC 8935). */
export const receiverCommands: Record<string, Command> = {
  'receiver add': {
    usage: 'receiver add <url> --audience <name> [--authorization] [--note <what for>]',
    summary: 'Tell somebody of every session that ends from now on: CAEP session-revoked events, by POST.',
    options: {
      audience: { type: 'string', help: '`aud` of the events; the receiver’s own name.' },
      authorization: {
        type: 'boolean',
        help: 'Read the whole Authorization header, such as "Bearer …", from standard input.'
      },
      note: { type: 'string', help: 'What it is for.' }
    },
    async run(call) {
      const url = one(call, 'URL')
      const { audience, note = '' } = call.options
      if (typeof audience !== 'string') throw new UsageError('Name the audience: --audience <name>.')
      const authorization = call.options.authorization
        ? (await call.io.secret('Authorization header: ')).trim()
        : undefined
      const added = { url, audience, note: String(note), authorization }
      const { id } = await call.withApp((app) => app.flows.addReceiver(added))
      return { text: `Added ${id}. Try it: keyturn receiver test ${id}`, json: { id, url, audience } }
    }
  },
  'receiver list': {
    usage: 'receiver list',
    summary: 'List the receivers, with what waits for them and what they refused.',
    async run(call) {
      const receivers = await call.withApp((app) => app.flows.listReceivers())
      const rows = receivers.map((one) => [
        one.id,
        one.url,
        one.audience,
        one.disabledAt === null ? 'on' : 'off',
        String(one.waiting),
        String(one.failed),
        one.lastError ?? '',
        one.note
      ])
      return {
        text: table(['ID', 'URL', 'AUDIENCE', 'STATE', 'WAITING', 'FAILED', 'LAST ERROR', 'NOTE'], rows),
        json: {
          receivers: receivers.map((one) => ({
            id: one.id,
            url: one.url,
            audience: one.audience,
            note: one.note,
            has_authorization: one.hasAuthorization,
            created_at: one.createdAt,
            disabled_at: one.disabledAt,
            waiting: one.waiting,
            failed: one.failed,
            last_error: one.lastError
          }))
        }
      }
    }
  },
  'receiver remove': {
    usage: 'receiver remove <id>',
    summary: 'Remove a receiver, with all that it was yet to be told.',
    async run(call) {
      const id = one(call, 'receiver')
      await call.withApp((app) => app.flows.removeReceiver(id))
      return { text: `Removed ${id}.`, json: { removed: id } }
    }
  },
  'receiver enable': setEnabled(true),
  'receiver disable': setEnabled(false),
  'receiver test': {
    usage: 'receiver test <id>',
    summary: 'Send a receiver one verification event. Exits with 1 where it was not taken.',
    async run(call) {
      const id = one(call, 'receiver')
      const outcome = await call.withApp((app) => app.eventDelivery.verify(id))
      const took = 'status' in outcome && outcome.status >= 200 && outcome.status < 300
      const said = 'status' in outcome ? `It answered ${outcome.status}.` : `It did not answer: ${outcome.failure}.`
      return {
        text: took ? `Delivered. ${said}` : `Not delivered. ${said}`,
        json: { delivered: took, ...('status' in outcome ? { status: outcome.status } : { failure: outcome.failure }) },
        exitCode: took ? 0 : 1
      }
    }
  }
}
