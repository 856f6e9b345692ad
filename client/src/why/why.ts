import { formatHostPort } from '@sallyport/runtime'
import type { WhyReport, WhyStep } from '@sallyport/schema'
import type { Routed } from '../access/route.ts'
import type { Account } from '../daemon/account.ts'
import { ClientError, type ClientErrorCode } from '../error.ts'
import { pathSteps, reportOf } from './judge.ts'

/** Goes the way of a connection, check by check, up to the first that refuses; the last one really connects, and hangs up. */
export async function explain(
  account: Account | undefined,
  host: string,
  port: number,
  signal: AbortSignal,
): Promise<WhyReport> {
  const steps: WhyStep[] = []
  const step = (check: WhyStep['check'], ok: boolean, detail: string) =>
    steps.push({ check, ok, detail: detail.slice(0, 2000) })
  const report = (code?: ClientErrorCode) => reportOf(host, port, steps, code)

  if (account === undefined || account.state.kind === 'loginRequired') {
    step('login', false, account?.state.detail ?? 'nobody is logged in')
    return report('not_logged_in')
  }
  step('login', true, `logged in as ${account.knowledge.welcome?.user.email ?? account.keeper.profile.url}`)
  if (account.state.kind === 'connecting') {
    step('controller', false, `not reached just now: ${account.state.detail ?? 'connecting'}; what is known goes on`)
  } else step('controller', true, 'connected')

  const { knowledge } = account
  const resource = knowledge.access.routes.resourceFor(host) ?? knowledge.endedResource(host)
  if (resource === undefined) return askController(account, host, port, step, report)
  step('name', true, `${host} belongs to Resource "${resource.name}"`)
  step('granted', true, 'it stands in the signed access list of this device')

  const routed = attempt(() => account.route(host, port))
  if (routed instanceof ClientError) {
    if (routed.code !== 'port_not_granted') step('port', true, `TCP port ${port} is allowed`)
    step(routed.code === 'port_not_granted' ? 'port' : 'end', false, routed.message)
    return report(routed.code)
  }
  if (routed === undefined) return report('no_such_name')
  step('port', true, `TCP port ${port} is allowed`)
  step('end', true, endText(routed))
  const failure = await connects(account, routed, host, port, signal)
  steps.push(...pathSteps(failure?.code, failure?.message ?? `connected to ${formatHostPort({ host, port })}`))
  return report(failure?.code)
}

async function askController(
  account: Account,
  host: string,
  port: number,
  step: (check: WhyStep['check'], ok: boolean, detail: string) => void,
  report: (code: ClientErrorCode) => WhyReport,
): Promise<WhyReport> {
  try {
    const { reason, message } = await account.rest.why(host, port)
    if (reason === 'not_granted') step('name', true, `${host} is the name of a Resource`)
    step(reason === 'not_granted' ? 'granted' : 'name', false, message)
    return report(reason)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    step('name', false, `${host} is no Resource that this device knows of, and the Controller cannot be asked: ${why}`)
    return report('no_such_name')
  }
}

async function connects(
  account: Account,
  routed: Routed,
  host: string,
  port: number,
  signal: AbortSignal,
): Promise<ClientError | undefined> {
  try {
    const stream = await account.open(routed, host, port, signal)
    stream.on('error', () => undefined)
    stream.destroy()
    return undefined
  } catch (error) {
    if (error instanceof ClientError) return error
    return new ClientError('failed', error instanceof Error ? error.message : String(error), { cause: error })
  }
}

function attempt<T>(work: () => T): T | ClientError {
  try {
    return work()
  } catch (error) {
    if (error instanceof ClientError) return error
    throw error
  }
}

const endText = ({ resource: { endMs } }: Routed) =>
  endMs === undefined ? 'the grant has no end' : `the grant ends at ${new Date(endMs).toISOString()}`
