import { EnrolRequest, EnrolResponse } from '@sallyport/schema'
import type { FastifyInstance } from 'fastify'
import { enrol } from '../enrol/enrol.ts'
import type { Context } from './context.ts'

const MAX_ENROL_BYTES = 16 * 1024

/** The route with which a Connector enrols; its credential is the token in the body. */
export function addEnrolRoute(app: FastifyInstance, { store, tenants, clock, config }: Context): void {
  const { clockLeewaySeconds } = config
  app.post<{ Body: EnrolRequest }>(
    '/v1/enroll',
    {
      bodyLimit: MAX_ENROL_BYTES,
      schema: { tags: ['enrolment'], body: EnrolRequest, response: { 200: EnrolResponse } },
    },
    async request => enrol({ store, tenants, clock, clockLeewaySeconds }, request.body),
  )
}
