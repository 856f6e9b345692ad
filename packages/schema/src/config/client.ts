import Type, { type Static } from 'typebox'
import { strict } from '../common.ts'

/** Environment of the `sallyport` command and of its daemon. */
export const ClientConfigSchema = Type.Object(
  {
    SALLYPORT_HOME: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 4096,
        description:
          'Directory of the device key, the logins and the socket of the daemon. `$XDG_STATE_HOME/sallyport`, else `~/.local/state/sallyport`, when absent.',
      }),
    ),
    SALLYPORT_LOG_LEVEL: Type.Optional(
      Type.Enum(['debug', 'info', 'warn', 'error'], {
        description: 'What the daemon writes to `daemon.log`.',
        default: 'info',
      }),
    ),
    SALLYPORT_BROWSER: Type.Optional(
      Type.String({
        maxLength: 4096,
        description: 'Command that opens a URL; empty for none. The one of the platform when absent.',
      }),
    ),
    SALLYPORT_SESSION_IDLE_SECONDS: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 86_400,
        default: 300,
        description: 'How long a session without a stream is kept for the next one.',
      }),
    ),
    SALLYPORT_OPEN_TIMEOUT_SECONDS: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 300,
        default: 20,
        description: 'How long an application waits for a connection, all retries included.',
      }),
    ),
  },
  { ...strict, description: 'Configuration of the Client.' },
)
export type ClientConfigSchema = Static<typeof ClientConfigSchema>
