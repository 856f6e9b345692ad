import type { ErrorBody } from '@sallyport/schema'

/** Every refusal that the Controller's HTTP side can give: code, status, and the sentence that goes with it. */
export const apiErrors = {
  invalid_body: [400, 'The body is not what this route takes.'],
  invalid_query: [400, 'A query or path parameter is not what this route takes.'],
  bad_request: [400, 'The request is not well-formed HTTP or JSON.'],
  unauthenticated: [401, 'There is no credential, or one that is not accepted here.'],
  token_expired: [401, 'The token has expired; get another one.'],
  clock_skew: [401, 'The token was issued in the future: one of the two clocks is wrong.'],
  login_ended: [401, 'The login has ended; log in again with `sallyport login`.'],
  unknown_connector: [401, 'No slot has this Connector key; enrol again.'],
  unknown_token: [401, 'No slot has issued this enrolment token, or another one has replaced it.'],
  enrolment_expired: [401, 'The enrolment token has expired; the operator issues another one.'],
  forbidden: [403, 'This credential may not do that.'],
  blocked: [403, 'The user or device is blocked; ask an admin.'],
  connector_blocked: [403, 'The Connector is blocked; an admin can unblock it.'],
  uid_taken: [403, 'Another tenant, source or kind of object holds this UID.'],
  not_found: [404, 'There is nothing of that name here.'],
  unknown_network: [404, 'The network is not declared by this source; declare it first.'],
  method_not_allowed: [405, 'The route does not know this method.'],
  token_used: [409, 'The enrolment token has been used with another key; the operator issues another one.'],
  key_taken: [409, 'This Connector key is bound to another slot; make another key.'],
  slot_occupied: [409, 'A living Connector holds this slot; it must be gone or draining first.'],
  name_taken: [409, 'Another Relay of the tenant has this name.'],
  limit_reached: [409, 'There is as much of this as there may be; remove some first.'],
  unknown_key: [409, 'The Relay has no such key; read its keys again.'],
  too_large: [413, 'The body is larger than this route takes.'],
  unsupported_media_type: [415, 'The body must be application/json.'],
  upgrade_required: [426, 'This is a WebSocket endpoint.'],
  rate_limited: [429, 'Too many requests; wait a little.'],
  internal: [500, 'The Controller failed; its log says why.'],
  unavailable: [503, 'The Controller is starting or stopping; try again.'],
} as const satisfies Record<string, readonly [status: number, message: string]>

export type ApiErrorCode = keyof typeof apiErrors

type Field = { field: string; message: string }

/** A refusal by its code. `detail` replaces the table's sentence where there is more to say; it names no secret. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly code: ApiErrorCode
  readonly fields: Field[] | undefined

  constructor(code: ApiErrorCode, detail?: string, options: ErrorOptions & { fields?: Field[] } = {}) {
    super(detail ?? apiErrors[code][1], options)
    this.code = code
    this.fields = options.fields
  }

  get status(): number {
    return apiErrors[this.code][0]
  }

  body(): ErrorBody {
    const { code: error, message, fields } = this
    return fields === undefined ? { error, message } : { error, message, fields }
  }
}
