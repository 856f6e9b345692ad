import { Argument, Command, CommanderError, Option } from 'commander'
import { ClientError, clientErrors } from './error.ts'
import { readLocalConfig } from './local/config.ts'
import type { AdminAction, AdminKind } from './verb/admin-verbs.ts'
import { explainFailure, type Output } from './verb/output.ts'
import { VERSION } from './version.ts'

const EXITS = `
Exit codes:
  0  done, or reachable
  1  failed for a reason of its own
  2  not a command that sallyport knows
  3  not logged in, or the Controller is not trusted
  4  denied: not granted, port not granted, expired, guarded
  5  not reachable: Controller, Relay, Connector or Resource
  6  the daemon or its state directory`

const EXAMPLES = `
Examples:
  sallyport login https://sallyport.example.com
  sallyport proxy                              SOCKS 5 and HTTP proxy on 127.0.0.1
  sallyport forward 5432:db.internal:5432      then: psql -h 127.0.0.1
  ssh -o ProxyCommand='sallyport connect %h:%p' build.internal
  sallyport why db.internal:5432`

type Run = (out: Output) => Promise<number>

/** The command line. `finish` gets the exit code of the verb that has run. */
export function buildProgram(finish: (code: number) => void, now: () => number): Command {
  const config = readLocalConfig
  const program = new Command('sallyport')
    .description('Reach private services by name. Log in once; the rest happens in the background.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .configureHelp({ showGlobalOptions: false, sortSubcommands: false })
    .addHelpText('after', EXAMPLES)
    .addHelpText('after', EXITS)
    .showHelpAfterError('(see `sallyport --help`)')
    .exitOverride()

  const verb = (command: Command, act: (...args: never[]) => Run) =>
    command.option('--json', 'print JSON, one object a line').action(async (...args: unknown[]) => {
      const out = outputOf(command)
      try {
        finish(await act(...(args as never[]))(out))
      } catch (error) {
        finish(explainFailure(error, out))
      }
    })

  verb(
    program
      .command('login')
      .description('log in with the browser; the device key is made here and never leaves')
      .argument('<url>', 'URL of your Controller, with #sha256:<pin> where its CA is private')
      .option('--no-browser', 'only print the URL')
      .addHelpText(
        'after',
        '\nExamples:\n  sallyport login https://sallyport.example.com\n  sallyport login https://10.0.0.5:8443/t/acme#sha256:3q2-7w…',
      ),
    (url: string, { browser }: { browser: boolean }) =>
      async out =>
        (await import('./verb/session-verbs.ts')).login(config(), out, url, browser),
  )
  verb(
    program.command('logout').description('end the login, here and at the Controller'),
    () => async out => (await import('./verb/session-verbs.ts')).logout(config(), out),
  )
  verb(
    program.command('status').description('who is logged in, what is connected, what needs attention'),
    () => async out => (await import('./verb/session-verbs.ts')).status(config(), out, now()),
  )
  verb(
    program.command('resources').description('what you may reach'),
    () => async out => (await import('./verb/session-verbs.ts')).resources(config(), out, now()),
  )
  verb(
    program
      .command('proxy')
      .description('serve SOCKS 5 and HTTP CONNECT on loopback, both on every address')
      .addOption(
        new Option('--listen <address...>', 'where to listen').default(
          ['127.0.0.1:1080', '127.0.0.1:8080'],
          '127.0.0.1:1080 127.0.0.1:8080',
        ),
      )
      .option('--direct', 'let destinations that are no Resource through, untouched')
      .addHelpText(
        'after',
        '\nExamples:\n  sallyport proxy\n  sallyport proxy --listen 127.0.0.1:9000 --direct\n  curl --socks5-hostname 127.0.0.1:1080 http://web.internal/\n  curl -x http://127.0.0.1:8080 https://web.internal/',
      ),
    ({ listen, direct }: { listen: string[]; direct?: boolean }) =>
      async out =>
        (await import('./verb/stream-verbs.ts')).proxy(config(), out, listen, direct ?? false),
  )
  verb(
    program
      .command('forward')
      .description('serve destinations on local ports')
      .argument(
        '<forward...>',
        '[[ADDRESS:]PORT:]HOST:PORT; the local port is that of the destination when absent, 0 for any',
      )
      .addHelpText(
        'after',
        '\nExamples:\n  sallyport forward 5432:db.internal:5432\n  sallyport forward 8000:web.internal:80 6379:cache.internal:6379',
      ),
    (specs: string[]) => async out => (await import('./verb/stream-verbs.ts')).forward(config(), out, specs),
  )
  verb(
    program
      .command('connect')
      .description('connect standard input and output to a destination, for instance as ProxyCommand of ssh')
      .argument('<host:port>')
      .addHelpText('after', "\nExample:\n  ssh -o ProxyCommand='sallyport connect %h:%p' build.internal"),
    (destination: string) => async () => (await import('./verb/stream-verbs.ts')).connect(config(), destination),
  )
  verb(
    program
      .command('why')
      .description('every decision on the way to a destination, and the one that refuses')
      .argument('<host:port>')
      .addHelpText('after', '\nExample:\n  sallyport why db.internal:5432'),
    (destination: string) => async out => (await import('./verb/session-verbs.ts')).why(config(), out, destination),
  )
  verb(
    program
      .command('admin')
      .description('people, devices, sessions, Connectors and sources of your tenant (admins only)')
      .addArgument(new Argument('<kind>').choices(['users', 'devices', 'sessions', 'connectors', 'sources']))
      .addArgument(new Argument('<action>').choices(['list', 'block', 'unblock', 'cut', 'remove']))
      .argument('[id]', 'ID as `list` shows it; not with list; of a source its name')
      .addHelpText(
        'after',
        '\nExamples:\n  sallyport admin users list\n  sallyport admin devices block d3m…\n  sallyport admin sessions cut 6f1…\n  sallyport admin sources remove sallyport/sallyport',
      ),
    (kind: AdminKind, action: AdminAction, id: string | undefined) => async out => {
      const { ADMIN_ACTIONS, DONE, admin } = await import('./verb/admin-verbs.ts')
      if (!(ADMIN_ACTIONS[kind] as readonly string[]).includes(action)) {
        throw new ClientError('usage', `${kind} cannot be ${DONE[action]}`, {
          hint: `Possible: ${ADMIN_ACTIONS[kind].join(', ')}.`,
        })
      }
      return admin(config(), out, kind, action, id)
    },
  )
  verb(
    program
      .command('daemon')
      .description('run the background daemon in the foreground; other commands start it by themselves')
      .addArgument(new Argument('[action]', 'stop: end the one that runs').choices(['stop']))
      .addOption(new Option('--home <directory>').hideHelp()),
    (action: 'stop' | undefined, { home }: { home?: string }) =>
      async out => {
        if (action === 'stop') return (await import('./verb/session-verbs.ts')).stopRunning(config(), out)
        return (await import('./daemon/main.ts')).runDaemon(home)
      },
  )
  for (const command of program.commands) command.exitOverride()
  return program
}

/** Exit code of what commander makes of a command line; it has printed what there is to say. */
export function exitOfCommander(error: unknown): number {
  if (!(error instanceof CommanderError)) throw error
  return error.exitCode === 0 ? 0 : clientErrors.usage.exit
}

function outputOf(command: Command): Output {
  const { json } = command.opts<{ json?: boolean }>()
  return {
    json: json === true,
    write: text => void process.stdout.write(text),
    complain: text => void process.stderr.write(text),
  }
}
