#!/usr/bin/env node
import { Command } from 'commander'
import { readFileSync } from 'node:fs'
import { REASONS } from '../switch/reasons.ts'
import { doctor } from './doctor.ts'
import { ls } from './ls.ts'
import { run } from './run.ts'

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

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

await program.parseAsync()
