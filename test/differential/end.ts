/** Runs one end of a scenario, or both: `end.js NAME server|client|both`. The test that starts it relays between ends. */
import http from 'node:http'
import { leave, onHeard, say, stay } from '../support/app-side.ts'
import { Mailbox } from '../support/waiting.ts'
import { netOfDoor } from './door.ts'
import { SCENARIOS } from './scenarios.ts'
import type { Side } from './side.ts'

type Role = 'server' | 'client'

const OTHER = { server: 'client', client: 'server' } as const

function sideOf(role: Role, box: Mailbox, tell: (name: string, value: unknown) => void): Side {
  return {
    net,
    http,
    log: (text) => {
      say({ side: role, log: text })
    },
    tell,
    async hear(name) {
      stay()
      const value = await box.take(name)
      leave()
      return value
    },
  }
}

const [name, role] = process.argv.slice(2)
const net = await netOfDoor()
const scenario = SCENARIOS.find((candidate) => candidate.name === name)
if (scenario === undefined) throw new Error(`Cannot run scenario '${name ?? ''}': there is none`)

const boxes = { server: new Mailbox(), client: new Mailbox() }
onHeard((message) => {
  boxes[role as Role].put(message['tell'] as string, message['value'])
})

/** Outside the two processes: through the test. Inside one: across a turn of the loop, through a copy. */
function teller(from: Role): (name: string, value: unknown) => void {
  if (role !== 'both') {
    return (what, value) => {
      say({ side: from, tell: what, value })
    }
  }
  return (what, value) => {
    const copy = value === undefined ? undefined : (structuredClone(value) as unknown)
    setImmediate(() => {
      boxes[OTHER[from]].put(what, copy)
    })
  }
}

say({ ready: true })
const roles: readonly Role[] = role === 'both' ? ['server', 'client'] : [role as Role]
await Promise.all(roles.map((each) => scenario[each](sideOf(each, boxes[each], teller(each)))))
