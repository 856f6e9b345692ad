import type { ClientErrorCode } from '../error.ts'
import { SocksReply } from './socks.ts'

/** How a failure is told to an application that asked through a proxy. Documented in docs/reference/cli.md. */
export function proxyOutcome(code: ClientErrorCode): { socks: SocksReply; http: number } {
  switch (code) {
    case 'not_granted':
    case 'port_not_granted':
    case 'expired':
    case 'denied':
    case 'guarded_address':
    case 'login_required':
    case 'not_logged_in':
      return { socks: SocksReply.notAllowed, http: 403 }
    case 'no_such_name':
      return { socks: SocksReply.notAllowed, http: 404 }
    case 'name_not_found':
      return { socks: SocksReply.hostUnreachable, http: 404 }
    case 'refused':
      return { socks: SocksReply.refused, http: 502 }
    case 'timeout':
      return { socks: SocksReply.ttlExpired, http: 504 }
    case 'unreachable':
      return { socks: SocksReply.hostUnreachable, http: 502 }
    case 'relay_down':
    case 'connector_down':
    case 'connection_lost':
    case 'controller_down':
      return { socks: SocksReply.networkUnreachable, http: 502 }
    default:
      return { socks: SocksReply.failure, http: 502 }
  }
}
