import { type Command, items, one, orMissing, table } from './command.js'

/** Roles, and what they may do. */
export const roleCommands: Record<string, Command> = {
  'role list': {
    usage: 'role list',
    summary: 'List the roles with their permissions.',
    async run(call) {
      const roles = await call.withApp((app) => app.flows.listRoles())
      const rows = roles.map((role) => [role.name, role.permissions.join(', '), role.description])
      return { text: table(['ROLE', 'PERMISSIONS', 'DESCRIPTION'], rows), json: { roles } }
    }
  },
  'role set': {
    usage: 'role set <role> [--permissions a,b] [--description <text>]',
    summary: 'Add a role, or replace what it means. Older tokens that name it are refused, and clients refresh.',
    options: {
      permissions: { type: 'string', help: 'Comma-separated permissions; none where it is left out.' },
      description: { type: 'string', help: 'What it is for.' }
    },
    async run(call) {
      const name = one(call, 'role')
      const permissions = items(call.options.permissions)
      const description = call.options.description as string | undefined
      const { role, isNew } = await call.withApp((app) => app.flows.putRole({ name, permissions, description }))
      const text = `${isNew ? 'Added' : 'Replaced'} ${role.name}: ${role.permissions.join(', ') || '(no permissions)'}.`
      return { text, json: { role } }
    }
  },
  'role delete': {
    usage: 'role delete <role>',
    summary: 'Remove a role, and take it from everybody who has it.',
    async run(call) {
      const name = one(call, 'role')
      const message = `There is no role ${JSON.stringify(name)}.\n\`keyturn role list\` lists those that there are.`
      await call.withApp((app) => orMissing(app.flows.deleteRole(name), message))
      return { text: `Removed ${name}.`, json: { removed: name } }
    }
  }
}
