import {
  type DeclaredKind,
  DeclaredRow,
  EnrolmentToken,
  MAX_BODY_BYTES,
  MAX_GROUP_BODY_BYTES,
  RelayKeys,
  RelayKeysAcknowledged,
  SourceName,
  SourceRemoved,
  Type,
  Uid,
  WriteResult,
} from '@sallyport/schema'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { checkBody, DECLARED } from '../declare/body.ts'
import { deleteDeclared, deleteSource, ownRow, putDeclared } from '../declare/declare.ts'
import { acknowledgeRelayKeys, readRelayKeys } from '../declare/relay-key.ts'
import { issueEnrolmentToken } from '../enrol/token.ts'
import { ApiError } from '../error.ts'
import { declaredRow } from '../feed/operator-feed.ts'
import type { Tx } from '../store/index.ts'
import { adminOf, type Context, forOperators, operatorOf, withoutBody } from './context.ts'

const UidParameter = Type.Object({ uid: Uid })
type UidParameter = { Params: { uid: string } }
const security = [{ operator: [] }]

/** Routes with which an operator declares: rows by UID, enrolment tokens of slots, keys of Relays. */
export function addDeclaredRoutes(app: FastifyInstance, context: Context): void {
  for (const kind of Object.keys(DECLARED) as DeclaredKind[]) addKind(app, context, kind)
  addTokens(app, context)
  addRelayKeys(app, context)
  addSources(app, context)
}

function addKind(app: FastifyInstance, context: Context, kind: DeclaredKind): void {
  const { store, sealer, clock, config, tenants } = context
  const deps = { store, sealer, clock, relayKeys: config.relayKeys }
  const { path, schema: body } = DECLARED[kind]
  const url = `/v1/${path}/:uid`
  const tags = ['declared']

  app.put<UidParameter>(
    url,
    {
      bodyLimit: kind === 'group' ? MAX_GROUP_BODY_BYTES : MAX_BODY_BYTES,
      schema: { tags, security, params: UidParameter, body, response: { 200: WriteResult } },
      ...forOperators(context),
    },
    async request => {
      const operator = await operatorOf(context, request)
      const { uid } = request.params
      return putDeclared(deps, operator, { kind, uid, body: checkBody(kind, request.body) })
    },
  )
  app.delete<UidParameter>(
    url,
    { ...forOperators(context), schema: { tags, security, params: UidParameter, response: { 200: WriteResult } } },
    async request => deleteDeclared(deps, await operatorOf(context, request), kind, request.params.uid),
  )
  app.get<UidParameter>(
    url,
    { ...forOperators(context), schema: { tags, security, params: UidParameter, response: { 200: DeclaredRow } } },
    async request => {
      const { tenant, source } = await operatorOf(context, request)
      const { uid } = request.params
      await ownRow({ db: store.db as Tx['db'], tenant }, source, kind, uid)
      const { hub } = tenants.get(tenant)!
      await hub.caughtUp()
      const row = hub.state.of(kind, uid)
      if (row === undefined) throw new ApiError('not_found')
      return declaredRow(row, hub.state, hub.presence, clock.now())
    },
  )
}

function addTokens(app: FastifyInstance, context: Context): void {
  const { store, clock, config } = context
  app.post<UidParameter>(
    '/v1/connectors/:uid/token',
    {
      ...forOperators(context),
      ...withoutBody,
      schema: { tags: ['enrolment'], security, params: UidParameter, response: { 200: EnrolmentToken } },
    },
    async (request, reply) => {
      const operator = await operatorOf(context, request)
      reply.header('cache-control', 'no-store')
      const { tokenSeconds } = config.enrolment
      return issueEnrolmentToken({ store, clock, tokenSeconds }, operator, request.params.uid)
    },
  )
}

function addRelayKeys(app: FastifyInstance, context: Context): void {
  const { store, sealer, clock, config, tenants } = context
  const deps = { store, sealer, clock, relayKeys: config.relayKeys }
  const tags = ['relay keys']
  app.get<UidParameter>(
    '/v1/relays/:uid/keys',
    { ...forOperators(context), schema: { tags, security, params: UidParameter, response: { 200: RelayKeys } } },
    async (request, reply) => {
      const operator = await operatorOf(context, request)
      reply.header('cache-control', 'no-store')
      return readRelayKeys(deps, operator, request.params.uid)
    },
  )
  app.post<UidParameter & { Body: RelayKeysAcknowledged }>(
    '/v1/relays/:uid/keys',
    {
      schema: { tags, security, params: UidParameter, body: RelayKeysAcknowledged, response: { 204: Type.Null() } },
      ...forOperators(context),
    },
    async (request, reply) => {
      const operator = await operatorOf(context, request)
      const { keyIds } = request.body
      const overlapMs = tenants.get(operator.tenant)!.hub.floors.keepMs()
      await acknowledgeRelayKeys(deps, operator, request.params.uid, { keyIds, overlapMs })
      return reply.status(204).send(null)
    },
  )
}

function addSources(app: FastifyInstance, context: Context): void {
  const { store, sealer, clock, config } = context
  const deps = { store, sealer, clock, relayKeys: config.relayKeys }
  app.delete<{ Params: { source: string } }>(
    '/v1/sources/:source',
    {
      onRequest: async request => {
        if (isPerson(request)) await adminOf(context, request)
        else await operatorOf(context, request)
      },
      schema: {
        tags: ['declared'],
        description: "Removes everything that a source has declared: the operator's own, or for an admin any.",
        security: [{ operator: [] }, { client: [] }],
        params: Type.Object({ source: SourceName }),
        response: { 200: SourceRemoved },
      },
    },
    async request => {
      const { source } = request.params
      if (isPerson(request)) {
        const { tenant, user } = await adminOf(context, request)
        return deleteSource(deps, tenant, source, `user:${user.email}`)
      }
      const operator = await operatorOf(context, request)
      if (operator.source !== source) throw new ApiError('not_found')
      return deleteSource(deps, operator.tenant, source, `operator:${source}`)
    },
  )
}

const isPerson = (request: FastifyRequest) => /^DPoP /i.test(request.headers.authorization ?? '')
