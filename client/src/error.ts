/** Everything that can keep the `sallyport` command from doing what it was asked, with the exit code and what to do about it. */
export const clientErrors = {
  usage: { exit: 2, hint: 'See `sallyport --help`.' },
  not_logged_in: { exit: 3, hint: 'Run `sallyport login URL`.' },
  login_failed: { exit: 3, hint: 'Run `sallyport login URL` again.' },
  login_cancelled: { exit: 3, hint: 'Run `sallyport login URL` again.' },
  no_such_name: { exit: 4, hint: 'Check the name with `sallyport resources`.' },
  not_granted: { exit: 4, hint: 'Ask whoever manages access to put you into a Group of this Resource.' },
  port_not_granted: { exit: 4, hint: 'Ask whoever manages access to allow this port.' },
  expired: { exit: 4, hint: 'Ask whoever manages access to extend it, or log in again.' },
  denied: { exit: 4, hint: 'Run `sallyport why HOST:PORT` for every decision on the way.' },
  login_required: { exit: 3, hint: 'Run `sallyport login URL` again: the login is too old.' },
  guarded_address: {
    exit: 4,
    hint: 'The name leads to an address that is kept closed; see guardExceptions of the RemoteNetwork.',
  },
  name_not_found: { exit: 5, hint: "Check the Resource's address: the Connector's resolver does not know it." },
  refused: { exit: 5, hint: 'Nothing listens there: check that the service runs and the port is right.' },
  timeout: { exit: 5, hint: 'Check that the service runs and that nothing drops packets on its way.' },
  unreachable: { exit: 5, hint: 'Check the routes between Connector and Resource.' },
  controller_down: { exit: 5, hint: 'Check your network; what was open goes on.' },
  relay_down: { exit: 5, hint: 'Check your network; if others have it too, the Relays are down.' },
  connector_down: { exit: 5, hint: 'No Connector of the network answers: tell whoever runs it.' },
  connection_lost: { exit: 5, hint: 'Try again.' },
  untrusted_controller: {
    exit: 3,
    hint: 'Compare the URL and its pin with what your administrator gave you; do not go on if they differ.',
  },
  address_in_use: { exit: 6, hint: 'Choose another address with --listen, or a port of its own.' },
  unsafe_home: { exit: 6, hint: 'Make the directory yours alone (chmod 700), or set SALLYPORT_HOME.' },
  daemon_failed: { exit: 6, hint: 'See daemon.log in the state directory.' },
  forbidden: { exit: 4, hint: 'Only admins of the tenant may do this.' },
  controller_refused: { exit: 1, hint: 'The Controller said no; its message is above.' },
  bad_config: { exit: 2, hint: 'Correct the environment variables named above.' },
  failed: { exit: 1, hint: 'Run `sallyport status`; see daemon.log in the state directory.' },
} as const satisfies Record<string, { exit: number; hint: string }>

export type ClientErrorCode = keyof typeof clientErrors

/** A failure that a person can do something about. */
export class ClientError extends Error {
  override readonly name = 'ClientError'
  readonly code: ClientErrorCode
  readonly hint: string

  constructor(code: ClientErrorCode, message: string, options: ErrorOptions & { hint?: string } = {}) {
    super(message, options)
    this.code = code
    this.hint = options.hint ?? clientErrors[code].hint
  }
}

/** Reads a code that came over the local socket; `failed` when it is none. */
export const clientErrorCode = (code: string): ClientErrorCode =>
  Object.hasOwn(clientErrors, code) ? (code as ClientErrorCode) : 'failed'
