export {
  type AcceptedTunnel,
  type AcceptorTrust,
  createTunnelAcceptor,
  type TunnelAcceptor,
  type TunnelAcceptorOptions,
} from './accept.ts'
export * from './client-session.ts'
export { ConnectorSession, type ConnectorSessionEvents, IncomingStream } from './connector-session.ts'
export * from './dial.ts'
export { StreamResetError, TunnelError, type TunnelErrorCode, tunnelErrorCodes } from './error.ts'
export * from './pump.ts'
export * from './session-host.ts'
export { TunnelStream } from './stream.ts'
