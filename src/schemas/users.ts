import { Type } from 'typebox'
import {
  closed,
  Email,
  InvitationText,
  nullable,
  Password,
  Permissions,
  printable,
  RoleName,
  Roles,
  Timestamp,
  Username,
  Uuid
} from './common.js'

export const User = closed(
  {
    id: Uuid,
    username: Type.String({ examples: ['ada'] }),
    email: nullable(Type.String({ examples: ['ada@example.com'] })),
    email_verified: Type.Boolean(),
    roles: Type.Array(Type.String()),
    permissions: Type.Array(Type.String(), { description: 'Its own, beside those of its roles.' }),
    disabled: Type.Boolean(),
    created_at: Timestamp,
    last_login_at: nullable(Timestamp)
  },
  { title: 'User' }
)

export const Registered = closed(
  {
    user: User,
    api_token: Type.Optional(
      Type.String({ description: 'The key that every new account gets where AUTH_TOKEN_ON_REGISTER is set.' })
    )
  },
  { title: 'Registered' }
)

export const UserResponse = closed({ user: User }, { title: 'UserResponse' })

export const Registration = closed(
  { username: Username, password: Password, email: Type.Optional(Email), invitation: Type.Optional(InvitationText) },
  { title: 'Registration' }
)

export const Me = closed(
  {
    id: Type.String({ description: 'The id of the account.' }),
    authenticator: Type.String({ description: 'Which credential said so: `session`, `token`, `bearer`, `basic` …' }),
    session_id: nullable(Uuid),
    client_id: nullable(Type.String()),
    roles: Type.Array(Type.String()),
    permissions: Type.Array(Type.String(), { description: 'By the roles, and of its own.' }),
    scope: Type.String({ description: 'What the credential is limited to; empty where it is not.' }),
    auth_time: nullable(Timestamp),
    amr: Type.Array(Type.String()),
    acr: nullable(Type.String()),
    expires_at: nullable(Timestamp)
  },
  { title: 'Me', description: 'Who the credential speaks for.' }
)

export const ProfileChange = closed(
  {
    username: Type.Optional(Username),
    email: Type.Optional(nullable(Email)),
    current_password: Type.Optional(Password)
  },
  { title: 'ProfileChange', description: 'A change of `email` asks for `current_password`.', minProperties: 1 }
)

export const PasswordChange = closed(
  { current_password: Password, new_password: Password },
  { title: 'PasswordChange' }
)

export const AccountDeletion = closed({ current_password: Password }, { title: 'AccountDeletion' })

export const NewUser = closed(
  {
    username: Username,
    email: Type.Optional(Email),
    password: Type.Optional(Password),
    roles: Type.Optional(Roles)
  },
  { title: 'NewUser', description: 'Without `password` the account cannot sign in with one until it is given one.' }
)

export const RolesChange = closed({ roles: Roles }, { title: 'RolesChange' })

export const PermissionsChange = closed({ permissions: Permissions }, { title: 'PermissionsChange' })

const Role = closed(
  {
    name: Type.String(),
    description: Type.String(),
    permissions: Type.Array(Type.String())
  },
  { title: 'Role' }
)
export const RoleResponse = closed({ role: Role }, { title: 'RoleResponse' })
export const RoleList = closed({ roles: Type.Array(Role) }, { title: 'RoleList' })
export const RoleParams = closed({ name: RoleName })
export const RoleChange = closed(
  {
    description: Type.Optional(Type.String({ maxLength: 200, pattern: printable.replace('+', '*') })),
    permissions: Permissions
  },
  { title: 'RoleChange' }
)

export const UserPage = closed(
  {
    users: Type.Array(User),
    next_cursor: Type.Optional(
      Type.String({ description: 'Send it as `cursor` for the next page. Absent on the last one.' })
    )
  },
  { title: 'UserPage' }
)

export const UserQuery = closed({
  q: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 150,
      pattern: printable,
      description: 'The beginning of a username or address.'
    })
  ),
  cursor: Type.Optional(Type.String({ maxLength: 100 })),
  limit: Type.Optional(
    Type.String({ pattern: '^([1-9]|[1-9][0-9]|100)$', maxLength: 3, description: '1 to 100; 50 by default.' })
  )
})

export const UserParams = closed({ id: Type.String({ maxLength: 100, description: 'The id of a user.' }) })

export const InvitationRequest = closed(
  {
    roles: Type.Optional(Roles),
    expires_in: Type.Optional(
      Type.Integer({ minimum: 60, maximum: 2_592_000, description: 'Seconds; 7 days by default.' })
    )
  },
  { title: 'InvitationRequest' }
)

export const Invitation = closed(
  { invitation: Type.String({ description: 'Shown this once.' }), expires_at: Timestamp },
  { title: 'Invitation' }
)
