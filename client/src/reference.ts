import type { Command } from 'commander'
import { proxyOutcome } from './capture/outcome.ts'
import { type ClientErrorCode, clientErrors } from './error.ts'
import { buildProgram } from './program.ts'

/** Markdown page of the command line: every verb with its options, exit codes, and how failures are told through the proxy. */
export function cliReference(): string {
  const program = buildProgram(
    () => undefined,
    () => 0,
  ).configureHelp({ helpWidth: 100 })
  const codes = Object.keys(clientErrors) as ClientErrorCode[]
  return [
    '# The `sallyport` command',
    usage(program),
    ...program.commands.flatMap(command => [`## sallyport ${command.name()}`, usage(command)]),
    '## Exit codes',
    table(
      ['exit code', 'errors'],
      [...new Set(codes.map(code => clientErrors[code].exit))]
        .sort()
        .map(exit => [String(exit), codes.filter(code => clientErrors[code].exit === exit).join(', ')]),
    ),
    '## What the proxy answers',
    'SOCKS 5 replies are those of RFC 1928, section 6; an HTTP refusal carries one line that names error and remedy.',
    table(
      ['error', 'SOCKS 5', 'HTTP'],
      codes.map(code => {
        const { socks, http } = proxyOutcome(code)
        return [`\`${code}\``, `0x0${socks}`, String(http)]
      }),
    ),
  ].join('\n\n')
}

const usage = (command: Command) => {
  let text = ''
  command.configureOutput({
    writeOut: part => {
      text += part
    },
    getOutHelpWidth: () => 100,
  })
  command.outputHelp()
  return ['```', text.trim(), '```'].join('\n')
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
