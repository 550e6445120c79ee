#!/usr/bin/env node
import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { readFileSync } from 'node:fs'
import { REASONS } from '../switch/reasons.ts'
import { doctor } from './doctor.ts'
import { explain } from './explain.ts'
import { ls } from './ls.ts'
import { metrics } from './metrics.ts'
import { run } from './run.ts'
import { top } from './top.ts'

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

// Whoever reads us may have seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit()
  complain(new Error(`Cannot write the answer: ${error.message}`))
  process.exit()
})

const program = new Command('sockswitch')
  .description('Carries the TCP connections of Node.js programs over shared memory where both ends can.')
  .version(version)
  .showHelpAfterError()
  .configureOutput({
    outputError: (text, write) => {
      write(text.replace(/^error: /, 'Cannot run sockswitch: '))
    },
  })
  .exitOverride()
  .enablePositionalOptions()

program
  .command('run')
  .description('run a Node.js program with the switch under it')
  .argument('<app>', 'the program')
  .argument('[args...]', 'its arguments')
  .passThroughOptions()
  .action((app: string, args: string[]) => run(app, args))

program
  .command('ls')
  .description('list the switched processes of this user: listeners, connections, provider or reason')
  .option('--json', 'print JSON')
  .option('--reasons', 'explain the reason codes')
  .action(async (options: { json?: boolean; reasons?: boolean }) => {
    if (options.reasons === true) {
      for (const [reason, text] of Object.entries(REASONS)) console.log(`${reason.padEnd(18)} ${text}`)
      return
    }
    process.exitCode = await ls({ json: options.json === true })
  })

program
  .command('doctor')
  .description('tell what can work here, what cannot, and the remedy')
  .option('--json', 'print JSON')
  .action(async (options: { json?: boolean }) => {
    process.exitCode = await doctor({ json: options.json === true })
  })

program
  .command('explain')
  .description('tell what a connect from here would do, and what decides')
  .argument('<target>', 'HOST:PORT, [IPV6]:PORT or PORT')
  .option('--listen', 'tell what a listen there would do')
  .option('--program <file>', 'the program whose rules count')
  .option('--json', 'print JSON')
  .action(async (target: string, options: { listen?: boolean; program?: string; json?: boolean }) => {
    process.exitCode = await explain(target, {
      json: options.json === true,
      listen: options.listen === true,
      program: options.program,
    })
  })

program
  .command('top')
  .description('show, again and again, what the switched processes do')
  .option('--interval <seconds>', 'time between two looks', seconds, 1)
  .option('--count <n>', 'how many times; until it is ended, unless given', times)
  .action(async (options: { interval: number; count?: number }) => {
    process.exitCode = await top({ interval: options.interval, count: options.count })
  })

program
  .command('metrics')
  .description('print the counters of all switched processes for Prometheus')
  .option('--listen <address>', 'serve them at /metrics, at PORT or HOST:PORT')
  .action(async (options: { listen?: string }) => {
    process.exitCode = await metrics({ listen: options.listen })
  })

/** More than a day is a timer that Node does not have, sooner or later. */
const MAX_SECONDS = 86_400

function seconds(text: string): number {
  const value = Number(text)
  if (value > 0 && value <= MAX_SECONDS) return value
  throw new InvalidArgumentError(`valid are numbers above 0, up to ${String(MAX_SECONDS)}`)
}

function times(text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new InvalidArgumentError('valid are whole numbers above 0')
}

/** Whatever cannot be done ends with 2; what it tells otherwise is the command's own code. */
function complain(error: unknown): void {
  console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = 2
}

try {
  await program.parseAsync()
} catch (error) {
  // Of the command line commander has told already.
  if (!(error instanceof CommanderError)) complain(error)
  else if (error.exitCode !== 0) process.exitCode = 2
}
