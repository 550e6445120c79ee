// Plays one role of scenarios in a process of its own; forked by partner.ts.
import { Mailbox } from '../support/waiting.ts'
import { playAudited } from './audited-play.ts'
import type { Report } from './audit.ts'
import { SCENARIOS } from './index.ts'
import type { Part, Word } from './partner.ts'
import { play } from './play.ts'
import type { Stage } from './play.ts'

function say(word: Word): void {
  process.send?.(word)
}

async function perform(part: Part, box: Mailbox, over: AbortSignal): Promise<Report | undefined> {
  const { title, role, faults, audited } = part
  const scenario = SCENARIOS.find((each) => each.title === title)
  if (scenario === undefined) throw new Error(`Cannot play '${title}': there is no such scenario`)
  const stage: Stage = {
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
  }
  if (audited === true) return await playAudited(scenario, role, stage)
  await play(scenario, role, stage)
  return undefined
}

let box = new Mailbox()
let controller = new AbortController()
process.on('message', (word: Word) => {
  if (word.is === 'line') box.put('line', word.value)
  if (word.is === 'stop') controller.abort(new Error('The other party has ended'))
  if (word.is !== 'part') return
  box = new Mailbox()
  controller = new AbortController()
  perform(word.part, box, controller.signal).then(
    (report) => {
      say({ is: 'over', ...(report && { report }) })
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
