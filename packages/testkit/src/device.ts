import { readFileSync } from 'node:fs'
import { ScriptedBrowser } from './browser.ts'
import { type Run, run } from './process.ts'
import { programFile } from './program.ts'

export type CommandResult = { code: number | string; stdout: string; lines: string[] }

/** A person's device: the `sallyport` command with a home of its own. */
export class Device {
  readonly home: string
  readonly environment: NodeJS.ProcessEnv
  readonly #running = new Set<Run>()
  readonly #file: string

  /** `bundles`: the directory of the bundled command, which runs instead of its source. */
  constructor({ home, environment, bundles }: { home: string; environment: NodeJS.ProcessEnv; bundles?: string }) {
    this.home = home
    this.#file = programFile('sallyport', bundles)
    this.environment = { ...environment, SALLYPORT_HOME: home, SALLYPORT_BROWSER: '', NO_COLOR: '1' }
  }

  /** The command as a person would type it, for a ProxyCommand and for print. */
  get command(): string {
    return `${process.execPath} ${this.#file}`
  }

  /** Starts `sallyport ARGS`, which may run on. */
  start(args: string[]): Run {
    const started = run({ name: `sallyport ${args[0]}`, args: [this.#file, ...args], env: this.environment })
    this.#running.add(started)
    void started.ended.then(() => this.#running.delete(started))
    return started
  }

  /** Runs `sallyport ARGS` to its end. */
  async run(args: string[]): Promise<CommandResult> {
    const started = this.start(args)
    const code = await started.ended
    return { code, stdout: started.lines.join('\n'), lines: started.lines }
  }

  /** Runs `sallyport ARGS --json` and parses what it prints; throws when that is not JSON. */
  async json<T = Record<string, unknown>>(args: string[]): Promise<T> {
    const { stdout, code } = await this.run([...args, '--json'])
    try {
      return JSON.parse(stdout) as T
    } catch (cause) {
      throw new Error(`sallyport ${args.join(' ')} --json (exit ${code}) printed: ${stdout}`, { cause })
    }
  }

  /** `sallyport login`, with a scripted browser in which `email` is chosen on the page of the embedded provider. */
  async login(url: string, email: string, caFile: string): Promise<void> {
    const verb = this.start(['login', url, '--no-browser'])
    const line = await verb.line(/https:\/\/\S+/)
    const page = await new ScriptedBrowser(readFileSync(caFile, 'utf8')).visit(
      /https:\/\/\S+/.exec(line)![0],
      (_, forms) =>
        forms.find(form => form.text.includes(email) || form.fields.toString().includes(encodeURIComponent(email))),
    )
    const code = await verb.ended
    if (code !== 0)
      throw new Error(
        `login as ${email} ended with ${code}: ${verb.lines.join('\n')}\npage: ${page.body.replace(/<[^>]*>/g, ' ').slice(0, 500)}`,
      )
  }

  /** `sallyport proxy` on ports of its own choice; each port speaks SOCKS5 and HTTP. */
  async proxies(args: string[] = []): Promise<{ socks: number; http: number; verb: Run }> {
    const verb = this.start(['proxy', '--listen', '127.0.0.1:0', '127.0.0.1:0', '--json', ...args])
    const [socks, http] = portsOf(await verb.line(/"capturing"/))
    return { socks: socks!, http: http!, verb }
  }

  /** `sallyport forward` of a port of its own choice to host:port. */
  async forward(host: string, port: number): Promise<number> {
    return portsOf(await this.start(['forward', `0:${host}:${port}`, '--json']).line(/"capturing"/))[0]!
  }

  /** Ends the daemon and every command that still runs. */
  async close(): Promise<void> {
    await Promise.all([...this.#running].map(one => one.stop()))
    await this.run(['daemon', 'stop'])
  }
}

function portsOf(line: string): number[] {
  const { capturing } = JSON.parse(line) as { capturing: { listen: string[] } }
  return capturing.listen.map(address => Number(address.slice(address.lastIndexOf(':') + 1)))
}
