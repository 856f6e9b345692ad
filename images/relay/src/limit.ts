// Numbers of a Relay that a peer can meet, beside those of the protocol (packages/wire).

/** Time in which a control connection must be registered, its TLS handshake included. */
export const REGISTER_TIMEOUT_MS = 10_000
/** Longest message of a Connector on its control channel: two compact JWS and a little. */
export const MAX_CONNECTOR_MESSAGE_BYTES = 32 * 1024
/** Bytes of the challenge to a Connector. */
export const NONCE_BYTES = 32
/** Connectors that are registered at a time. */
export const MAX_CONNECTORS = 10_000
/** Idle sockets kept for one Connector: twice what it is asked for, since it offers successors before it drops the old. */
export const MAX_KEPT_SOCKETS = 128
/** Clients that wait for a socket of one Connector. */
export const MAX_WAITING_CLIENTS = 256
/** Idle sockets of a Connector on which one ClientHello is tried. */
export const MAX_ATTEMPTS = 3
/** Longest wait for the first byte of the Connector, all attempts together. */
export const ANSWER_TIMEOUT_MS = 3_000
/** Serials of capabilities that are remembered. */
export const MAX_SERIALS = 100_000
/** Time that a refused peer has to read why. */
export const LINGER_MS = 1_000
/** TCP keep-alive of every connection. */
export const KEEP_ALIVE_MS = 20_000
/** Silence after which a tunnel that one side has ended is cut. */
export const HALF_CLOSED_TIMEOUT_MS = 60_000
/** Interval at which what is idle, quiet or expired is looked at. */
export const SWEEP_MS = 10_000
/** Quiet time after which the wish for more idle sockets is halved. */
export const DEMAND_LIFE_MS = 60_000
/** Connections that the kernel queues. */
export const BACKLOG = 4096
