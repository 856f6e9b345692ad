// oidc-provider ships no types; this is the part of it that the embedded provider uses.
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http'

  export type AdapterPayload = Record<string, unknown> & { grantId?: string; uid?: string; consumed?: number }
  export interface Adapter {
    upsert(id: string, payload: AdapterPayload, expiresIn?: number): Promise<void>
    find(id: string): Promise<AdapterPayload | undefined>
    findByUid(uid: string): Promise<AdapterPayload | undefined>
    findByUserCode(userCode: string): Promise<AdapterPayload | undefined>
    consume(id: string): Promise<void>
    destroy(id: string): Promise<void>
    revokeByGrantId(grantId: string): Promise<void>
  }
  export type Interaction = { uid: string; returnTo: string; params: Record<string, unknown> }
  export type Context = {
    type: string
    body: unknown
    set(headers: Record<string, string>): void
    oidc: {
      provider: Provider
      client?: { clientId: string }
      session?: { accountId?: string; grantIdFor(clientId: string): string | undefined }
      result?: unknown
    }
  }
  export type Grant = { addOIDCScope(scope: string): void; save(): Promise<string> }
  export interface Provider {
    readonly Grant: {
      new (properties: { accountId: string; clientId: string }): Grant
      find(id: string): Promise<Grant | undefined>
    }
    proxy: boolean
    callback(): (request: IncomingMessage, response: ServerResponse) => Promise<void>
    interactionDetails(request: IncomingMessage, response: ServerResponse): Promise<Interaction>
    interactionResult(request: IncomingMessage, response: ServerResponse, result: object): Promise<string>
    on(event: string, listener: (context: Context, error: Error) => void): void
  }
  const Provider: new (issuer: string, configuration: Record<string, unknown>) => Provider

  export { Provider }
  export default Provider
}
