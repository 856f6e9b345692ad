import { parseCertificate, pinOf, splitBundle } from '@sallyport/trust'
import type { ConfigMap } from '../object.ts'
import { differs } from './difference.ts'
import { childLabels } from './label.ts'
import type { Plan, Settings } from './step.ts'

/**
 * Plans the ConfigMap that says how people log in: the Controller's URL, what to type, and the CA. What to type pins the CA, unless people see
 * the certificate of something in front of the Controller.
 */
export function planLogin(
  live: ConfigMap | undefined,
  { name, url, ca }: { name: string; url: string; ca: string | undefined },
  { namespace, pinsLogin }: Settings,
): Plan {
  const [first] = splitBundle(ca ?? '')
  if (ca === undefined || first === undefined) return { steps: [] }
  const labels = childLabels('controller', namespace)
  const login = pinsLogin ? `${url}#sha256:${pinOf(parseCertificate(first).publicKey)}` : url
  const object: ConfigMap = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace, labels },
    data: { url, login, 'ca.crt': ca },
  }
  return { steps: differs(object, live) ? [{ do: 'apply', object }] : [] }
}
