import Type, { type Static } from 'typebox'
import { HostPort, strict } from '../common.ts'

/** Environment of a Connector. */
export const ConnectorConfigSchema = Type.Object(
  {
    SALLYPORT_CONNECTOR_DIR: Type.String({
      minLength: 1,
      maxLength: 4096,
      description:
        'Directory with `token` (enrolment token) and `trust.json` (what the Connector trusts): its mounted Secret. Watched.',
    }),
    SALLYPORT_STATE_DIR: Type.String({
      minLength: 1,
      maxLength: 4096,
      description:
        'Directory of the key, the certificate, the last complete state of access and the access log that waits. Made when missing. Must outlive the container, not the pod.',
    }),
    SALLYPORT_METRICS_LISTEN: Type.String({
      ...HostPort,
      pattern: '^(\\[[0-9a-fA-F:.]+\\]|[A-Za-z0-9.-]*):[0-9]{1,5}$',
      default: ':9090',
      minLength: 2,
      description: 'Where `/healthz`, `/readyz` and `/metrics` are served: host:port, or :port for all addresses.',
    }),
    SALLYPORT_LOG_LEVEL: Type.Enum(['debug', 'info', 'warn', 'error'], {
      default: 'info',
      description: 'What is logged. The access log is written at every level.',
    }),
    SALLYPORT_RESOLVER: Type.Optional(
      Type.String({
        maxLength: 1024,
        pattern: '^(\\[[0-9a-fA-F:.]+\\]|[0-9.]+)(:[0-9]{1,5})?(,(\\[[0-9a-fA-F:.]+\\]|[0-9.]+)(:[0-9]{1,5})?)*$',
        description:
          'DNS servers that resolve the names of Resources: address or address:port, separated by commas. The resolver of the system when absent.',
      }),
    ),
    SALLYPORT_DRAIN_SECONDS: Type.Integer({
      minimum: 0,
      maximum: 3600,
      default: 30,
      description: 'How long open streams may go on after SIGTERM.',
    }),
    SALLYPORT_CONNECT_TIMEOUT_SECONDS: Type.Integer({
      minimum: 1,
      maximum: 120,
      default: 10,
      description: 'How long a Resource may take to accept a connection.',
    }),
  },
  { ...strict, description: 'Configuration of a Connector.' },
)
export type ConnectorConfigSchema = Static<typeof ConnectorConfigSchema>
