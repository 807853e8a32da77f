import fp from 'fastify-plugin'
import { type DatabaseOptions, listen } from './database.js'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Calls a handler whenever Postgres notifies on a channel, and each time that listening begins anew, since what was
     * notified meanwhile has been missed. One handler per channel, given before the service is ready; what it cannot do
     * is its own to tell. A notification can be lost: poll as well.
     */
    onNotification(channel: string, handler: () => void): void
  }
}

export interface NotificationsOptions {
  readonly databaseUrl: DatabaseOptions['url']
}

/** The one connection on which this replica listens, for everything that others may change. */
export const notifications = fp<NotificationsOptions>(
  async (app, { databaseUrl }) => {
    const channels = new Map<string, () => void>()
    let listener: ReturnType<typeof listen> | undefined

    app.decorate('onNotification', (channel: string, handler: () => void) => {
      if (listener !== undefined) throw new Error(`${channel} is listened to too late: the service is ready`)
      if (channels.has(channel)) throw new Error(`${channel} has a handler already`)
      channels.set(channel, handler)
    })

    // Not before: a start that fails after this must be able to end.
    app.addHook('onReady', async () => {
      listener = listen(databaseUrl, channels, (error) =>
        app.log.warn({ error: error.message }, 'changes are polled for until the listener is back')
      )
      await listener.started
    })
    app.addHook('preClose', () => listener?.close())
  },
  { name: 'notifications', dependencies: ['database'], fastify: '5.x' }
)
