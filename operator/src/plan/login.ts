import { parseCertificate, pinOf, splitBundle } from '@sallyport/trust'
import type { ConfigMap } from '../object.ts'
import { differs } from './difference.ts'
import { childLabels } from './label.ts'
import type { Plan, Settings } from './step.ts'

/** Plans the ConfigMap that says how people log in: the Controller's URL, the same with the pin of its CA, and that CA. */
export function planLogin(
  live: ConfigMap | undefined,
  { name, url, ca }: { name: string; url: string; ca: string | undefined },
  { namespace }: Settings,
): Plan {
  const [first] = splitBundle(ca ?? '')
  if (ca === undefined || first === undefined) return { steps: [] }
  const labels = childLabels('controller', namespace)
  const object: ConfigMap = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace, labels },
    data: { url, login: `${url}#sha256:${pinOf(parseCertificate(first).publicKey)}`, 'ca.crt': ca },
  }
  return { steps: differs(object, live) ? [{ do: 'apply', object }] : [] }
}
