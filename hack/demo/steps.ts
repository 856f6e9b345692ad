import { byConnect, byPort, bySocks, eventually, httpGet, ProxyRefusal, sha256OfFile, take } from '@sallyport/testkit'
import { chapter, check, saw, since } from './narrator.ts'
import type { Scene } from './scene.ts'

const DOWNLOAD_BYTES = 64 * 1024 * 1024

/** The story, in order; each step leaves the scene as the next one finds it. */
export const steps: ((scene: Scene) => Promise<void>)[] = [
  start,
  login,
  denied,
  granted,
  reached,
  whatTheRelaySaw,
  revoked,
  relayKilled,
]

async function start(scene: Scene) {
  chapter('1  Starting: operator, Controller, identity provider, 2 Relays, 2 Connectors, 2 private services')
  const from = performance.now()
  await scene.start()
  check('every object is Ready', true, since(from))
}

async function login(scene: Scene) {
  chapter('2  Logging in: OpenID Connect in a (scripted) browser, bound to a key made on this device')
  const from = performance.now()
  await scene.login()
  const status = await scene.device.json<{ user?: { email?: string } }>(['status'])
  check(`logged in as ${scene.email}`, JSON.stringify(status).includes(scene.email), since(from))
}

async function denied(scene: Scene) {
  chapter('3  Denied: the Group that may reach the services has no members')
  const before = scene.web.accepted()
  const outcome = await httpGet(bySocks(scene.socks), scene.webHost, scene.web.port).then(
    () => 'answered',
    error => (error instanceof ProxyRefusal ? `refused (${error.message})` : String(error)),
  )
  check(
    'the service is refused, and never heard of it',
    outcome.startsWith('refused') && scene.web.accepted() === before,
    outcome,
  )
  const why = await scene.device.run(['why', `${scene.webHost}:${scene.web.port}`])
  for (const line of why.lines) saw(line)
  check('sallyport why names the check that refused', why.code !== 0 && /not.granted|no.such.name/i.test(why.stdout))
}

async function granted(scene: Scene) {
  chapter('4  Granted: one line of YAML')
  const from = performance.now()
  scene.setMembers([scene.email])
  saw(`added ${scene.email} to the Group's members in ${scene.groupFile}`)
  const answer = await eventually(
    'the first answer of the service',
    () => httpGet(bySocks(scene.socks), scene.webHost, scene.web.port),
    { everyMs: 5 },
  )
  check('from saving the file to the first byte', answer.body.toString().includes(scene.greeting), since(from))
}

async function reached(scene: Scene) {
  chapter('5  Reached: SOCKS5, HTTP CONNECT and a forward')
  for (const [name, way] of [
    ['SOCKS5', bySocks(scene.socks)],
    ['HTTP CONNECT', byConnect(scene.http)],
    ['a forward', byPort(await scene.forward(scene.webHost, scene.web.port))],
  ] as const) {
    const from = performance.now()
    const answer = await httpGet(way, scene.webHost, scene.web.port)
    check(`the web service by ${name}`, answer.body.toString().includes(scene.greeting), since(from))
  }
  const from = performance.now()
  const file = await httpGet(bySocks(scene.socks), scene.webHost, scene.web.port, `/file?bytes=${DOWNLOAD_BYTES}`)
  const seconds = (performance.now() - from) / 1000
  check(
    'a file of 64 MiB arrives whole',
    file.sha256 === sha256OfFile(DOWNLOAD_BYTES),
    `${Math.round(DOWNLOAD_BYTES / 1e6 / seconds)} MB/s`,
  )

  const socket = await byPort(await scene.forward(scene.tcpHost, scene.tcp.port))()
  await take(socket, scene.tcpGreeting.length + 1)
  socket.write(`${scene.marker}\n`)
  const echo = await take(socket, scene.marker.length + 1)
  socket.destroy()
  check('the TCP service by a forward', echo.toString() === `${scene.marker}\n`)

  const refused = await bySocks(scene.socks)(scene.webHost, scene.tcp.port).then(
    () => 'connected',
    error => String(error.message),
  )
  check('the same host, a port that is not granted', refused !== 'connected', refused)
}

async function whatTheRelaySaw(scene: Scene) {
  chapter('6  What the Relay saw')
  const seen = Buffer.concat(scene.recorders.flatMap(({ chunks }) => chunks))
  saw(
    `${(seen.length / 1e6).toFixed(1)} MB in ${scene.recorders.reduce((sum, { connections }) => sum + connections, 0)} connections; the first bytes of one:`,
  )
  const first = scene.recorders.flatMap(({ chunks }) => chunks).find(chunk => chunk[0] === 0x16)
  saw((first ?? Buffer.alloc(0)).subarray(0, 32).toString('hex'))
  for (const [what, text] of Object.entries(scene.secrets)) {
    check(`${what} is in none of them`, seen.length > DOWNLOAD_BYTES && !seen.includes(text), `"${text}"`)
  }
}

async function revoked(scene: Scene) {
  chapter('7  Revoked in the middle of a download')
  let bytes = 0
  const download = httpGet(
    bySocks(scene.socks),
    scene.webHost,
    scene.web.port,
    `/slow?bytes=${DOWNLOAD_BYTES}`,
    soFar => {
      bytes = soFar
    },
  ).then(
    () => 'finished',
    error => String(error.message),
  )
  await eventually('the download to run', () => bytes > 100_000)
  const from = performance.now()
  scene.setMembers([])
  saw(`removed ${scene.email} from the Group`)
  const outcome = await download
  const cutAtClient = since(from)
  await eventually('the service to lose its connection', () => scene.web.open() === 0, { everyMs: 2 })
  check(
    'from saving the file to the cut at the Client',
    outcome.startsWith('cut') || outcome.includes('RESET'),
    `${cutAtClient}; ${outcome}`,
  )
  check('and at the service', true, since(from))
  const before = scene.web.accepted()
  const again = await httpGet(bySocks(scene.socks), scene.webHost, scene.web.port).then(
    () => 'answered',
    error => String(error.message),
  )
  check('a new connection is refused', again !== 'answered' && scene.web.accepted() === before, again)
}

async function relayKilled(scene: Scene) {
  chapter('8  A Relay killed')
  scene.setMembers([scene.email])
  await eventually('access to be back', () => httpGet(bySocks(scene.socks), scene.webHost, scene.web.port), {
    everyMs: 5,
  })
  const relay = await scene.relayInUse()
  await scene.kill(relay)
  saw(`killed ${relay}, the one that carried the session`)
  const from = performance.now()
  const answer = await httpGet(bySocks(scene.socks), scene.webHost, scene.web.port)
  check('the next request, over the other Relay', answer.body.toString().includes(scene.greeting), since(from))
  const back = performance.now()
  await scene.revive(relay)
  check(`${relay} is back and Connectors are registered at it`, true, since(back))
}
