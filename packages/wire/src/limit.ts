// Every number of the protocol that a peer can meet, one constant a line.

const KIB = 1024
const MIB = 1024 * KIB

// Relay

/** Longest ClientHello, record headers included, that a Relay reads. */
export const MAX_CLIENT_HELLO_BYTES = 8 * KIB
/** Time that a stranger has to complete a ClientHello. */
export const CLIENT_HELLO_TIMEOUT_MS = 5_000
/** Longest server name that TLS stacks carry; longer ones are dropped silently by some, so they are refused. */
export const MAX_SERVER_NAME = 253
/** Bytes of a sealed capability: version 1, nonce 12, ciphertext 32, tag 16. */
export const CAPABILITY_BYTES = 61
/** Bytes of the plaintext of a capability: connector id 20, expiry u32, serial u64. */
export const CAPABILITY_PLAINTEXT_BYTES = 32
/** Characters of a capability in base32, without the dot between its two labels. */
export const CAPABILITY_TEXT = 98
/** Bytes of a Connector ID. */
export const CONNECTOR_ID_BYTES = 20
/** Bytes of a slot key. */
export const SLOT_KEY_BYTES = 16
/** Life of a slot key. */
export const SLOT_KEY_LIFE_MS = 30_000
/** Handshakes in flight for one capability serial. */
export const MAX_CAPABILITY_HANDSHAKES = 4
/** Handshakes a minute for one capability serial. */
export const MAX_CAPABILITY_HANDSHAKES_PER_MINUTE = 30
/** Idle data sockets that a Connector keeps at each Relay at least. */
export const MIN_IDLE_SOCKETS = 2
/** Idle data sockets that a Connector keeps at each Relay at most. */
export const MAX_IDLE_SOCKETS = 64
/** TCP keep-alive of an idle data socket. */
export const IDLE_SOCKET_KEEP_ALIVE_MS = 20_000
/** Age at which an idle data socket is replaced: load balancers forget silently. */
export const IDLE_SOCKET_LIFE_MS = 180_000
/** Silence of a Connector after which the ClientHello is replayed on another of its sockets. */
export const REPLAY_AFTER_MS = 500
/** Longest wait for an idle socket. */
export const SOCKET_WAIT_MS = 800

// Tunnel

/** ALPN protocol of a tunnel. */
export const TUNNEL_ALPN = 'sallyport/1'
/** Key exchange groups of a tunnel, best first. */
export const TUNNEL_GROUPS = 'X25519MLKEM768:X25519'
/** Time that a Connector gives a Client for its TLS handshake. */
export const HANDSHAKE_TIMEOUT_MS = 5_000
/** Handshakes that a Connector has in progress at a time. */
export const MAX_HANDSHAKES = 64

// Session: frames

/** Version of the session protocol. */
export const PROTOCOL_VERSION = 1
/** Bytes of a frame's header: stream u32, type u8, length u24. */
export const HEADER_BYTES = 8
/** Longest body of a frame. */
export const MAX_BODY_BYTES = 64 * KIB
/** Longest body of HELLO and READY. */
export const MAX_HELLO_BYTES = 4 * KIB
/** Longest body of OPEN. */
export const MAX_OPEN_BYTES = 1 * KIB
/** Longest host in an OPEN. */
export const MAX_HOST = 253
/** Largest Client ACL in all its pieces. */
export const MAX_ACL_BYTES = 4 * MIB
/** Bytes of a piece of an ACL: offset u32, total u32, then these. */
export const ACL_PIECE_BYTES = MAX_BODY_BYTES - 8
/** First frame type that a receiver skips when it does not know it. */
export const FIRST_SKIPPABLE_TYPE = 128

// Session: streams and sessions

/** Live streams of a session. */
export const MAX_STREAMS = 16_384
/** Sessions of a device at one Connector. */
export const MAX_SESSIONS_PER_DEVICE = 8
/** Largest stream id; the opener says GOAWAY when it gets there. */
export const MAX_STREAM_ID = 2 ** 31 - 1
/** OPENs that the opener may abandon before their answer, per window of ABANDONED_WINDOW_MS. */
export const MAX_ABANDONED_OPENS = 8_192
/** Window over which abandoned OPENs are counted. */
export const ABANDONED_WINDOW_MS = 10_000
/** Life of a session without a carrier. */
export const DETACHED_LIFE_MS = 300_000
/** Least time between two resumes of a session. */
export const RESUME_INTERVAL_MS = 1_000

// Session: credit

/** Credit that a stream has without being told, in each direction. */
export const FLOOR_CREDIT = 16 * KIB
/** Window of a stream at first; what exceeds the floor is granted in the flight of OPEN and OPENED. */
export const FIRST_WINDOW = 256 * KIB
/** Largest window of a stream. */
export const MAX_WINDOW = 16 * MIB
/** Outstanding credit of a session: bytes granted to the peer and not yet consumed here. */
export const MAX_SESSION_CREDIT = 64 * MIB
/** Share of MAX_SESSION_CREDIT that first windows may use; the rest is for windows that grow. */
export const MAX_FIRST_CREDIT = 32 * MIB
/** Most credit that a sender accepts for one stream. */
export const MAX_SEND_CREDIT = 2 ** 31 - 1

// Session: acknowledgement

/** Received bytes after which an ACK is due. */
export const ACK_BYTES = 256 * KIB
/** Time after which an ACK is due. */
export const ACK_DELAY_MS = 100
/** Cost of frames kept until acknowledged, beyond which DATA and OPEN wait. */
export const MAX_KEPT_BYTES = 32 * MIB
/** Cost of kept frames that a session has whatever the process budget says, so that it goes on. */
export const MIN_KEPT_BYTES = 512 * KIB
/** Cost of kept frames, RESET, FIN and CREDIT included, at which a peer that does not acknowledge is given up. */
export const MAX_UNACKNOWLEDGED_BYTES = 36 * MIB
/** What a kept frame costs beside its body. */
export const KEPT_FRAME_OVERHEAD = 64

// Session: keep-alive

/** Interval of PING. */
export const PING_INTERVAL_MS = 10_000
/** Silence after a PING at which the carrier counts as dead. */
export const PONG_TIMEOUT_MS = 10_000
/** PONGs that may wait to be sent. */
export const MAX_PENDING_PONGS = 32
/** Datagrams that may wait to be sent, in bytes; more are dropped and counted. */
export const MAX_PENDING_DATAGRAM_BYTES = 256 * KIB
/** Bytes written and not yet sent at which a stream tells its writer to wait. */
export const WRITE_HIGH_WATER = 256 * KIB
