import type { WhyReason, WhyReport, WhyStep } from '@sallyport/schema'
import { type ClientErrorCode, clientErrors } from '../error.ts'

type Check = WhyStep['check']

/** The check that a refusal belongs to. */
const CHECK_OF: Partial<Record<ClientErrorCode, Check>> = {
  not_logged_in: 'login',
  login_required: 'login',
  no_such_name: 'name',
  not_granted: 'granted',
  port_not_granted: 'port',
  expired: 'end',
  relay_down: 'relay',
  connector_down: 'connector',
  denied: 'authorised',
  guarded_address: 'address',
  name_not_found: 'resource',
  refused: 'resource',
  timeout: 'resource',
  unreachable: 'resource',
}

/** Checks in the order in which they are made, with what it means that one has passed. */
const PASSED: [Check, string][] = [
  ['relay', 'a Relay was reached'],
  ['connector', 'a Connector proved to be who it must be'],
  ['authorised', 'the Connector found the destination in both access lists'],
  ['address', 'the address is not one that is kept closed'],
  ['resource', 'the Resource accepted the connection'],
]

/** Puts a report together from checks that have been made; the first that refused is the verdict. */
export function reportOf(host: string, port: number, steps: WhyStep[], code: ClientErrorCode | undefined): WhyReport {
  if (code === undefined) return { host, port, steps, verdict: 'reachable', reason: 'reachable' }
  return { host, port, steps, verdict: 'refused', reason: reasonOf(code), hint: clientErrors[code].hint }
}

/** The checks beyond this device: all passed, or all up to the one that `code` belongs to. */
export function pathSteps(code: ClientErrorCode | undefined, detail: string): WhyStep[] {
  const failed = code === undefined ? undefined : (CHECK_OF[code] ?? 'connector')
  const before = PASSED.findIndex(([check]) => check === failed)
  if (failed === undefined) return PASSED.map(([check, text]) => ({ check, ok: true, detail: text }))
  const passed = PASSED.slice(0, Math.max(0, before)).map(([check, text]) => ({ check, ok: true, detail: text }))
  return [...passed, { check: failed, ok: false, detail }]
}

function reasonOf(code: ClientErrorCode): WhyReason {
  switch (code) {
    case 'not_logged_in':
    case 'login_required':
      return 'not_logged_in'
    case 'no_such_name':
    case 'not_granted':
    case 'port_not_granted':
    case 'expired':
    case 'relay_down':
    case 'connector_down':
    case 'controller_down':
    case 'denied':
    case 'guarded_address':
    case 'name_not_found':
    case 'refused':
    case 'timeout':
    case 'unreachable':
      return code
    default:
      return 'failed'
  }
}
