import Type, { type Static } from 'typebox'
import { HostPort, strict } from '../common.ts'

const Listen = (fallback: string, description: string) =>
  Type.String({
    ...HostPort,
    pattern: '^(\\[[0-9a-fA-F:.]+\\]|[A-Za-z0-9.-]*):[0-9]{1,5}$',
    default: fallback,
    minLength: 2,
    description,
  })

/** Environment of a Relay. */
export const RelayConfigSchema = Type.Object(
  {
    SALLYPORT_RELAY_DIR: Type.String({
      minLength: 1,
      maxLength: 4096,
      description:
        'Directory with `relay.json` (name, keys of capabilities, keys of passes), `tls.crt` and `tls.key`: its mounted Secret. Watched.',
    }),
    SALLYPORT_LISTEN: Listen(
      ':8443',
      'Where Clients and Connectors connect: host:port, or :port for all addresses. The one port of the Relay.',
    ),
    SALLYPORT_METRICS_LISTEN: Listen(
      ':9090',
      'Where `/healthz`, `/readyz` and `/metrics` are served: host:port, or :port for all addresses.',
    ),
    SALLYPORT_LOG_LEVEL: Type.Enum(['debug', 'info', 'warn', 'error'], {
      default: 'info',
      description: 'What is logged. Addresses of Clients are logged at `debug` only.',
    }),
    SALLYPORT_DRAIN_SECONDS: Type.Integer({
      minimum: 0,
      maximum: 3600,
      default: 20,
      description: 'How long tunnels may go on after SIGTERM.',
    }),
    SALLYPORT_MAX_TUNNELS: Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      default: 20_000,
      description: 'Tunnels at a time. Further Clients are told to go elsewhere.',
    }),
    SALLYPORT_MAX_STRANGERS: Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      default: 4096,
      description:
        'Connections at a time that have not proved anything yet. Beyond it the one that has waited longest is closed.',
    }),
    SALLYPORT_MAX_STRANGERS_PER_ADDRESS: Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      default: 1024,
      description:
        'The same for each source address. Raise it where a load balancer in front of the Relay hides the addresses of Clients.',
    }),
  },
  { ...strict, description: 'Configuration of a Relay.' },
)
export type RelayConfigSchema = Static<typeof RelayConfigSchema>
