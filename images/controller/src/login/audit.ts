import type { AuditEntry } from '../audit.ts'
import type { UserRow } from '../store/index.ts'

/** Who logs in: an e-mail that counts, or the name that the provider has for them. */
export type Person = Pick<UserRow, 'provider' | 'subject' | 'email'>

/** Why a login has ended, other than by its time or an admin. */
export type LoginEnd = 'logout' | 'replaced' | 'refresh_reused' | 'code_replayed'

/** A login of `user` on `device` begins. */
export const loginBegun = (person: Person, login: { id: string; user: string; device: string }): AuditEntry => ({
  actor: nameOf(person),
  action: 'login.begin',
  target: login.id,
  after: { user: login.user, device: login.device, provider: person.provider },
})

/** A person whom the provider has vouched for is not let in; `jkt` is the thumbprint of the device key that asked. */
export const loginRefused = (person: Person, jkt: string, code: string): AuditEntry => ({
  actor: nameOf(person),
  action: 'login.refuse',
  target: person.provider,
  after: { code, jkt },
})

/** A login ends. Who reuses a token or replays a code may be anyone, so the Controller stands for it. */
export const loginEnded = (
  person: Person,
  login: { id: string; user: string; device: string },
  reason: LoginEnd,
): AuditEntry => ({
  actor: reason === 'logout' || reason === 'replaced' ? nameOf(person) : 'controller',
  action: 'login.end',
  target: login.id,
  after: { user: login.user, device: login.device, reason },
})

/** A device becomes that of `user`, who is not the one it was of. */
export const deviceBound = (person: Person, device: string, user: string, before: string | undefined): AuditEntry => ({
  actor: nameOf(person),
  action: 'device.bind',
  target: device,
  ...(before === undefined ? {} : { before: { user: before } }),
  after: { user },
})

const nameOf = ({ provider, subject, email }: Person) => `user:${email === '' ? `${provider}/${subject}` : email}`
