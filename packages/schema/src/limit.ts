/** Longest name of a Sallyport object; leaves room for the suffixes of its children. */
export const MAX_NAME = 50
/** Longest namespace name (RFC 1123 label). */
export const MAX_NAMESPACE = 63
/** Longest DNS name (RFC 1035, section 2.3.4). */
export const MAX_HOST = 253
/** Longest e-mail address (RFC 5321, section 4.5.3.1). */
export const MAX_EMAIL = 254
/** Longest text meant for people. */
export const MAX_TEXT = 256
/** Most members or provider groups in one Group. */
export const MAX_MEMBERS = 1000
/** Most aliases of one Resource. */
export const MAX_ALIASES = 16
/** Most port ranges of one protocol. */
export const MAX_PORT_RANGES = 64
/** Most Groups in one Resource's `access`. */
export const MAX_ACCESS = 64
/** Most entries of `allowedNamespaces`: the cost that the API server estimates for its rules is bounded. */
export const MAX_ALLOWED_NAMESPACES = 32
/** Most entries in the other lists of a RemoteNetwork. */
export const MAX_NETWORK_ENTRIES = 64
/** Most replicas of Connectors in one RemoteNetwork. */
export const MAX_CONNECTORS = 50
/** Most replicas of one Relay. */
export const MAX_RELAYS = 32
/** Most Relay replicas of one tenant: each of its Connectors registers at every one. */
export const MAX_TENANT_RELAYS = 64
/**
 * Bytes that the Resources of one network take at most, each as it stands in a Client's map: with them a Connector ACL, in base64url, stays
 * below the longest token that is read.
 */
export const MAX_NETWORK_RESOURCE_BYTES = 3_000_000
/** Bytes that the Resources of one tenant take at most in the same way: the map of one who may reach them all is one message. */
export const MAX_TENANT_RESOURCE_BYTES = 8_000_000
/** Longest name of a Relay: a capability (98 characters and 2 dots) goes in front of it in an SNI. */
export const MAX_RELAY_NAME = 150
/** Largest REST request body in bytes. */
export const MAX_BODY_BYTES = 1024 * 1024
/** Largest body of a Group in bytes: it takes all members and provider groups at their longest, each character written as six (`\u0001`). */
export const MAX_GROUP_BODY_BYTES = 4 * 1024 * 1024
/** Largest message on a control channel in bytes. */
export const MAX_CONTROL_MESSAGE_BYTES = 8 * 1024 * 1024
