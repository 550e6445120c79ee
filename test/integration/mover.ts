/**
 * A process whose connections move: it accepts one over shared memory, echoes what it reads, hands the connection to another
 * such process when told, and takes one over. Forked by moving.test.ts.
 */
import assert from 'node:assert/strict'

import { FD_ACCEPT } from '../../src/spi/index.ts'
import type { SocketAddress } from '../../src/spi/index.ts'
import { NetworkEvent } from '../../src/switch/network-event.ts'
import { FEATURE_MOVE } from '../../src/switch/session/hello.ts'
import { Session } from '../../src/switch/session/session.ts'
import { createSwitch } from '../../src/switch/switch.ts'
import { shmProvider } from '../support/shm-provider.ts'

/** What the parent asks for. */
export type Order =
  | { readonly do: 'listen'; readonly address: SocketAddress }
  | { readonly do: 'hand over'; readonly processId: number }
  | { readonly do: 'take over'; readonly cargo: Cargo }

/** What the parent hears. */
export type Word =
  | { readonly is: 'ready' }
  | { readonly is: 'accepted' }
  | { readonly is: 'packed'; readonly cargo: Cargo }
  | { readonly is: 'taken over' }
  | { readonly is: 'over'; readonly end: 'end' | 'reset' }
  | { readonly is: 'failed'; readonly why: string }

/** A session, and what the echo has read and not written back yet. */
export interface Cargo {
  readonly packed: Uint8Array
  readonly rest: Uint8Array
}

export const PEER_HELLO = { regionBytes: 1216, maxRingBytes: 1 << 20, features: FEATURE_MOVE }

const provider = shmProvider()
const theSwitch = createSwitch({ san: [provider] })
const limits = { regionBytes: 1216, maxMemoryBytes: 1 << 20, pieceBytes: 1 << 16, duplicates: true }

let session: Session | undefined
let rest: Uint8Array = new Uint8Array()

function say(word: Word): void {
  process.send?.(word)
}

function echo(): void {
  for (;;) {
    if (rest.length > 0) {
      const taken = session?.write([rest]) ?? 0
      if (taken < 0) return
      rest = rest.subarray(taken)
      if (rest.length > 0) return
    }
    const read = session?.read(100_000)
    if (read === undefined) break
    rest = read
  }
  if (session === undefined || session.state === 'negotiating') return
  const end = session.readEnd()
  if (end === 'more') return
  session.close()
  session = undefined
  say({ is: 'over', end })
}

function adopt(taken: Session): void {
  session = taken
  taken.attach({ agreed: echo, readable: echo, writable: echo })
  echo()
}

function listen(address: SocketAddress): void {
  const made = provider.socket({ family: address.family })
  assert.ok(made.ok)
  const listener = made.value
  const event = new NetworkEvent(provider.schedule, () => {
    listener.enumNetworkEvents(event)
    const accepted = listener.accept(() => ({ decision: 'CF_ACCEPT', calleeData: new Uint8Array() }))
    if (!accepted.ok) return
    const { socket } = accepted.value
    const memory = socket.memory()
    assert.ok(memory.ok)
    adopt(new Session({ socket, memory: memory.value, limits, peerHello: PEER_HELLO, role: 'acceptor' }))
    listener.close()
    say({ is: 'accepted' })
  })
  assert.equal(listener.bind(address), 0)
  assert.equal(listener.listen(1), 0)
  assert.equal(listener.eventSelect(event, FD_ACCEPT), 0)
  say({ is: 'ready' })
}

process.on('message', (order: Order) => {
  switch (order.do) {
    case 'listen':
      listen(order.address)
      break
    case 'hand over': {
      const status = session?.suspend(order.processId, (result) => {
        if (result.ok) say({ is: 'packed', cargo: { packed: result.value, rest } })
        else say({ is: 'failed', why: `suspended with ${result.error}` })
      })
      if (status !== 0) say({ is: 'failed', why: `suspend answers ${String(status)}` })
      break
    }
    case 'take over':
      rest = order.cargo.rest
      theSwitch.resume('shm', 'IPv4', order.cargo.packed, (result) => {
        if (!result.ok) {
          say({ is: 'failed', why: `resumed with ${result.error}` })
          return
        }
        say({ is: 'taken over' })
        adopt(result.value)
      })
      break
  }
})
process.once('disconnect', () => {
  theSwitch.close()
})
