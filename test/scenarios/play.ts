import { Mailbox } from '../support/waiting.ts'
import { computer } from './computer.ts'
import type { Carrier, Computer, ComputerOptions } from './computer.ts'
import type { Line, Party, Role, Scenario } from './party.ts'

/** What one side of a play stands on. */
export interface Stage {
  readonly carrier: Carrier
  readonly line: Line
  /** Ends the play, with its reason. */
  readonly over: AbortSignal
  /** Given to every computer of this side. */
  readonly options?: ComputerOptions
  /** See {@link Party.vanish}; without it the party's provider ends. */
  readonly vanish?: () => Promise<void>
}

/** Plays one role, and ends every computer that took part in it, however it went. */
export async function play(scenario: Scenario, role: Role, stage: Stage): Promise<void> {
  const computers: Computer[] = []
  const make = (options: ComputerOptions = {}): Computer => {
    const made = computer(stage.carrier, { ...stage.options, ...options })
    computers.push(made)
    return made
  }
  const own = make()
  const party: Party = {
    carrier: stage.carrier.name,
    own,
    computer: make,
    line: stage.line,
    over: stage.over,
    vanish:
      stage.vanish ??
      (() => {
        own.switch.close()
        return Promise.resolve()
      }),
  }
  try {
    await Promise.race([scenario[role](party), ending(stage.over)])
  } finally {
    for (const made of computers) made.end()
  }
}

/** Rejects when `over` is. */
async function ending(over: AbortSignal): Promise<never> {
  return await new Promise((_, reject) => {
    const end = (): void => {
      reject(over.reason as Error)
    }
    if (over.aborted) end()
    else over.addEventListener('abort', end)
  })
}

/** What takes part in a play; ends when it is over. */
export type Playing = (over: AbortSignal) => Promise<void>

const LIMIT_MS = 30_000

/** Both parties; the first that fails ends the other, too. */
export async function together(server: Playing, client: Playing): Promise<void> {
  const controller = new AbortController()
  const parties: ReadonlyMap<Role, Playing> = new Map([
    ['server', server],
    ['client', client],
  ])
  const left = new Set(parties.keys())
  const limit = setTimeout(() => {
    controller.abort(
      new Error(`The play was not over after ${LIMIT_MS} ms: ${[...left].join()} has not ended`),
    )
  }, LIMIT_MS)
  const watched = Array.from(parties, async ([role, playing]) => {
    try {
      await playing(controller.signal)
    } catch (error) {
      controller.abort(error)
    }
    left.delete(role)
  })
  await Promise.all(watched)
  clearTimeout(limit)
  controller.signal.throwIfAborted()
}

/** A line between two parties of one process. */
export function lines(): readonly [Line, Line] {
  const boxes = [new Mailbox(), new Mailbox()] as const
  const end = (mine: Mailbox, other: Mailbox): Line => ({
    tell: (value) => {
      other.put('line', value)
    },
    hear: async () => await mine.take('line'),
  })
  return [end(boxes[0], boxes[1]), end(boxes[1], boxes[0])]
}
