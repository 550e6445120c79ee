// Plays one role of scenarios in a process of its own; forked by partner.ts.
import { Mailbox } from '../support/waiting.ts'
import { SCENARIOS } from './index.ts'
import type { Part, Word } from './partner.ts'
import { play } from './play.ts'

function say(word: Word): void {
  process.send?.(word)
}

async function perform({ title, role, faults }: Part, box: Mailbox, over: AbortSignal): Promise<void> {
  const scenario = SCENARIOS.find((each) => each.title === title)
  if (scenario === undefined) throw new Error(`Cannot play '${title}': there is no such scenario`)
  await play(scenario, role, {
    carrier: { name: 'shm' },
    over,
    line: {
      tell: (value) => {
        say({ is: 'line', value })
      },
      hear: async () => await box.take('line'),
    },
    ...(faults && { options: { faults } }),
    vanish: async () => {
      process.kill(process.pid, 'SIGKILL')
      await new Promise(() => undefined)
    },
  })
}

let box = new Mailbox()
let controller = new AbortController()
process.on('message', (word: Word) => {
  if (word.is === 'line') box.put('line', word.value)
  if (word.is === 'stop') controller.abort(new Error('The other party has failed'))
  if (word.is !== 'part') return
  box = new Mailbox()
  controller = new AbortController()
  perform(word.part, box, controller.signal).then(
    () => {
      say({ is: 'over' })
    },
    (error: unknown) => {
      say({ is: 'over', failure: error instanceof Error ? (error.stack ?? error.message) : String(error) })
    },
  )
})
// Whatever a part left open, the process does not outlive whoever it plays for.
process.once('disconnect', () => {
  process.exit()
})
