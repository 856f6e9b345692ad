/** What is deleted goes, everywhere, whatever is away meanwhile: nothing hangs, nothing is left. Many at once wait for a person. */
import { ControllerError, createLog, silentLog } from '@sallyport/runtime'
import type { Kind } from '@sallyport/schema'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { pathOf } from './api.ts'
import { describeKube, eventually } from './cluster.ts'
import { KubeInstallation, type Live, NAMESPACE, object } from './installation.ts'

/** The collector learns of kinds that are new half a minute after they have come: only then it removes what they own. */
const GONE_MS = 180_000
const ROWS = {
  RemoteNetwork: 'networks',
  Connector: 'connectors',
  Resource: 'resources',
  Group: 'groups',
  Relay: 'relays',
}
const MOMENTS = ['up', 'controller-down', 'row-gone', 'operator-down'] as const
const KINDS: Kind[] = ['RemoteNetwork', 'Connector', 'Resource', 'Group', 'Relay']
const MANAGED = [NAMESPACE, ...MOMENTS].join(',')

describeKube('what is deleted', cluster => {
  let installation: KubeInstallation
  const log = process.env.SALLYPORT_TEST_LOG === undefined ? silentLog : createLog('test', 'info')
  beforeAll(async () => {
    for (const name of MOMENTS) await cluster().kube(['create', 'namespace', name])
    installation = await KubeInstallation.prepare(cluster(), log, { operator: { managedNamespaces: [...MOMENTS] } })
    await installation.startOperator({ 'managed-namespaces': MANAGED })
    await installation.startController()
  }, 180_000)
  afterAll(() => installation.close())

  const remove = (kind: string, name: string, namespace: string) =>
    installation.api.request('DELETE', pathOf(kind, namespace, name))
  const there = async () => {
    const lists = await Promise.all(
      [NAMESPACE, ...MOMENTS].flatMap(at => KINDS.map(kind => installation.list(kind, at))),
    )
    return lists.flat()
  }
  const declared = () => installation.rows('declared').map(({ uid }) => String(uid))

  /** Objects of every kind in the operator's namespace and in one that is deleted as a whole; gives them once they have rows. */
  const make = async (moment: string): Promise<Live[]> => {
    for (const namespace of [NAMESPACE, moment]) await installation.apply(...everyKind(moment, namespace))
    return eventually('a row of each', async () => {
      const all = await there()
      const rows = declared()
      const own = all.filter(({ kind }) => kind !== 'Relay')
      const isWhole = own.filter(({ kind }) => kind === 'Connector').length === 4 && rows.length === own.length + 4
      return isWhole && own.every(({ metadata }) => rows.includes(metadata.uid)) ? all : undefined
    })
  }
  const removeAll = async (moment: string, all: Live[]) => {
    const own = all.filter(({ kind, metadata }) => kind !== 'Connector' && metadata.namespace === NAMESPACE)
    const answers = await Promise.all([
      installation.api.request('DELETE', `/api/v1/namespaces/${moment}`),
      ...own.map(({ kind, metadata: { name } }) => remove(kind, name, NAMESPACE)),
    ])
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
  }
  const nothingIsLeft = async (moment: string) => {
    let left: unknown
    const from = performance.now()
    const took = () => ((performance.now() - from) / 1000).toFixed(1)
    await eventually(
      'every object to go',
      async () => {
        left = (await there()).map(({ kind, metadata: { name } }) => `${kind} ${name}`)
        return (left as string[]).length === 0 ? true : undefined
      },
      GONE_MS,
    ).catch(cause => expect.fail(`${cause.message}: ${left}`))
    const [objects] = [took()]
    await eventually(
      'the namespace to go',
      async () => {
        const { status, body } = await installation.api.request('GET', `/api/v1/namespaces/${moment}`)
        left = body.status
        return status === 404 ? true : undefined
      },
      GONE_MS,
    ).catch(cause => expect.fail(`${cause.message}: ${JSON.stringify(left)}`))
    await eventually(
      'every row to go',
      () => {
        left = TABLES.flatMap(table =>
          installation.rows(table).map(row => `${table} ${row.uid ?? row.slot ?? row.relay}`),
        )
        return (left as string[]).length === 0 ? true : undefined
      },
      GONE_MS,
    ).catch(cause => expect.fail(`${cause.message}: ${left}`))
    await eventually(
      'every child to go',
      async () => {
        const lists = await Promise.all(['Secret', 'Deployment', 'Service'].map(kind => installation.list(kind)))
        left = lists
          .flat()
          .filter(({ metadata }) => metadata.ownerReferences !== undefined)
          .map(({ metadata }) => metadata.name)
        return (left as string[]).length === 0 ? true : undefined
      },
      GONE_MS,
    ).catch(cause => expect.fail(`${cause.message}: ${left}`))
    console.log(`${moment}: objects gone after ${objects} s, all of it after ${took()} s`)
  }

  describe('is gone with its rows and its children, and nothing hangs', () => {
    it('while everything is up', async () => {
      await removeAll('up', await make('up'))
      await nothingIsLeft('up')
    }, 600_000)

    it('while the Controller is down, once it is back', async () => {
      const all = await make('controller-down')
      await installation.controller!.close()
      await removeAll('controller-down', all)
      await eventually('the objects to go', async () => ((await there()).length === 0 ? true : undefined), GONE_MS)
      expect(declared()).not.toEqual([])
      await installation.startController()
      await nothingIsLeft('controller-down')
    }, 600_000)

    it('when its rows are removed in the Controller at the same time', async () => {
      const all = await make('row-gone')
      const client = installation.rest()
      const rows = all.filter(({ kind }) => kind !== 'Relay')
      await Promise.all([
        removeAll('row-gone', all),
        ...rows.map(({ kind, metadata }) =>
          client.request({ method: 'DELETE', path: `/v1/${ROWS[kind as Kind]}/${metadata.uid}` }).catch(error => {
            // The operator was faster.
            if (!(error instanceof ControllerError && error.code === 'not_found')) throw error
          }),
        ),
      ])
      client.close()
      await nothingIsLeft('row-gone')
    }, 600_000)

    it('while the operator is down, once it is back, though a namespace that it manages is gone', async () => {
      const all = await make('operator-down')
      await installation.stopOperator()
      await removeAll('operator-down', all)
      await eventually('the objects to go', async () => ((await there()).length === 0 ? true : undefined), GONE_MS)
      expect(declared()).not.toEqual([])
      const operator = await installation.startOperator({ 'managed-namespaces': MANAGED, 'stale-seconds': '1' })
      await nothingIsLeft('operator-down')
      const health = await eventually('the health', async () => {
        const { status } = await fetch(`http://${operator.metricsAddress}/readyz`)
        return status === 200 ? status : undefined
      })
      expect(health).toBe(200)
    }, 600_000)
  })

  describe('in great number while no one looked', () => {
    const COUNT = 30
    const flags = (waitSeconds: number) => ({
      'leader-election': 'true',
      'resync-seconds': '1',
      'removal-wait-seconds': String(waitSeconds),
    })
    const names = Array.from({ length: COUNT }, (_, index) => `group-${index}`)
    const held = async () => {
      const metric = await installation.metrics.registry.getSingleMetric('sallyport_operator_removal_held')?.get()
      return metric?.values[0]?.value
    }
    const isHeld = () => eventually('the hold', async () => (await held()) === 1)
    const isFree = () => eventually('the end of the hold', async () => (await held()) === 0)
    const codes = async () => {
      const { items } = JSON.parse(await cluster().kube(['get', 'events', '-n', NAMESPACE, '-o', 'json']))
      const notes = (items as { reason: string; message: string }[]).filter(({ reason }) => reason === 'RemovalHeld')
      return notes.map(({ message }) => /confirm with (\S+)/.exec(message)?.[1] ?? message)
    }
    const confirm = (code: string) =>
      cluster().kube([
        'annotate',
        'lease',
        'sallyport-operator',
        '-n',
        NAMESPACE,
        '--overwrite',
        `sallyport.dev/confirm-removal=${code}`,
      ])
    const rowsAre = (count: number) =>
      eventually(`${count} rows`, () => (declared().length === count ? true : undefined))
    /** Rounds of listing and comparing, in each of which it could have gone on. */
    const rounds = async (count: number) => {
      const from = await installation.resyncs()
      await eventually('some resyncs', async () => ((await installation.resyncs()) >= from + count ? true : undefined))
    }
    /** Declares them and two more, and deletes them while the operator is down. */
    const lose = async (kept: number) => {
      if (installation.operator === undefined) await installation.startOperator(flags(600))
      const others = Array.from({ length: kept }, (_, index) => object('Group', `kept-${index}`, {}))
      await installation.apply(...names.map(name => object('Group', name, {})), ...others)
      await rowsAre(COUNT + kept)
      await installation.stopOperator()
      await Promise.all(names.map(name => remove('Group', name, NAMESPACE)))
    }
    beforeAll(() => installation.stopOperator())

    it('waits, tells with which code to confirm, and goes on with that code and no other', async () => {
      await lose(2)
      const before = await codes()
      await installation.startOperator(flags(600))
      await isHeld()
      const code = await eventually('the Event', async () => (await codes()).find(one => !before.includes(one)))
      await confirm('another')
      await rounds(3)
      expect(declared()).toHaveLength(COUNT + 2)
      await confirm(code)
      await rowsAre(2)
      await isFree()
    }, 300_000)

    it('goes on by itself when the wait is over and the lists are whole', async () => {
      await lose(2)
      await installation.startOperator(flags(1))
      await rowsAre(2)
    }, 300_000)

    it('goes on waiting as long as a kind is empty, and goes on when it is confirmed', async () => {
      await cluster().kube(['delete', 'groups.sallyport.dev', '--all', '-n', NAMESPACE])
      await rowsAre(0)
      await lose(0)
      const before = await codes()
      await installation.startOperator(flags(1))
      await isHeld()
      const code = await eventually('the Event', async () => (await codes()).find(one => !before.includes(one)))
      await rounds(5)
      expect(declared()).toHaveLength(COUNT)
      await confirm(code)
      await rowsAre(0)
    }, 300_000)
  })
})

/** Tables of what belongs to declared objects; `declared` itself first. */
const TABLES = ['declared', 'slots', 'enrolment_tokens', 'connector_keys', 'relay_keys']

function everyKind(moment: string, namespace: string): object[] {
  const name = `${moment}-${namespace === NAMESPACE ? 'own' : 'all'}`
  const list = [`${name}-0.example.com:443`, `${name}-1.example.com:443`]
  return [
    object('RemoteNetwork', name, { connectors: { replicas: 2 } }, namespace),
    object(
      'Resource',
      name,
      { remoteNetworkRef: { name }, address: `${name}.internal`, access: [{ group: name }] },
      namespace,
    ),
    object('Group', name, {}, namespace),
    object('Relay', `edge-${name}`, { address: { list } }, namespace),
  ]
}
