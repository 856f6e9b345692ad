import type { AcceptorTrust } from '@sallyport/runtime'
import { certificateProblem } from '../certificate.ts'
import { type Enrolment, type Identity, saveEnrolment } from './identity.ts'
import type { TrustView } from './trust-view.ts'

/** What the Connector shows to Clients, and whose devices it lets in. */
export class Credential {
  readonly #directory: string
  readonly #identity: Identity
  readonly #trust: TrustView
  #enrolment: Enrolment

  constructor(directory: string, identity: Identity, enrolment: Enrolment, trust: TrustView) {
    this.#directory = directory
    this.#identity = identity
    this.#enrolment = enrolment
    this.#trust = trust
  }

  /** For handshakes that begin at this moment. */
  get acceptorTrust(): AcceptorTrust {
    return {
      identity: { certificatePem: this.#enrolment.certificate, privateKeyPem: this.#identity.keyPem },
      tenantCaPem: this.#trust.current.tenantCa,
    }
  }

  /** Takes a renewed certificate; a sentence says why it cannot be this Connector's, undefined that it was taken. */
  renew(certificate: string): string | undefined {
    const problem = certificateProblem(certificate, this.#identity, this.#trust.current)
    if (problem === undefined) this.#enrolment = { ...this.#enrolment, certificate }
    return problem
  }

  save(): Promise<void> {
    return saveEnrolment(this.#directory, this.#enrolment)
  }
}
