#!/usr/bin/env node
import { Command, InvalidArgumentError } from 'commander'
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
  if (error.code !== 'EPIPE') throw error
  process.exit()
})

const program = new Command('sockswitch')
  .description('Carries the TCP connections of Node.js programs over shared memory where both ends can.')
  .version(version)
  .showHelpAfterError()
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
  .option('--interval <seconds>', 'time between two looks', positive, 1)
  .option('--count <n>', 'how many times; until it is ended, unless given', positive)
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

function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0 && value < Infinity)) throw new InvalidArgumentError('valid are numbers above 0')
  return value
}

try {
  await program.parseAsync()
} catch (error) {
  // Such as a variable that is wrong.
  console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = 2
}
