/**
 * Somebody of another user at a rendezvous. `doorkeeper.js NAME` holds the name and counts what comes; `doorkeeper.js ''
 * NAME` knocks there, says nothing it is not asked for, and counts what it is sent.
 */
import { createInterface } from 'node:readline'
import type { ReceivedMessage } from '../../src/native/shm.ts'
import { Channel, Door } from './channel.ts'

const [held, knocked] = process.argv.slice(2)
let messages = 0
let descriptors = 0
let over: () => void = () => undefined
const ended = new Promise<void>((resolve) => {
  over = resolve
})

async function count(channel: Channel): Promise<void> {
  for (let got: ReceivedMessage | 'end' = await channel.next(); got !== 'end'; got = await channel.next()) {
    messages += 1
    descriptors += got.fds.length
  }
  over()
}

async function keep(door: Door): Promise<void> {
  for (;;) await count(await door.next())
}

if (held !== undefined && held !== '') keep(new Door(held)).catch(() => undefined)
if (knocked !== undefined) count(Channel.connect(knocked)).catch(() => undefined)

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { id, command } = JSON.parse(line) as Readonly<Record<string, unknown>>
    const answer = (): void => {
      process.stdout.write(`${JSON.stringify({ id, messages, descriptors })}\n`)
    }
    // Whoever knocked has been told everything once the channel ends; a holder has, once a knocker is gone.
    if (command === 'called' || command === 'knocks') void ended.then(answer)
  })
  .on('close', () => process.exit(0))
process.stdout.write(`${JSON.stringify({ event: 'ready' })}\n`)
