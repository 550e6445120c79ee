import assert from 'node:assert/strict'

import type { Result, SocketAddress } from '../../src/spi/index.ts'
import type { Session } from '../../src/switch/session/session.ts'
import { valueOf } from '../winsock/pair.ts'
import type { Computer } from './computer.ts'
import { hear, patternOf } from './party.ts'
import type { Party, Scenarios } from './party.ts'
import { Wire, connectBare, listenBare } from './wire.ts'

const HALF = 200_000

/** Leaves a session to whoever resumes it in this process. */
async function leave(wire: Wire): Promise<Uint8Array> {
  return valueOf(
    await new Promise<Result<Uint8Array>>((resolve) => {
      assert.equal(wire.session.suspend(process.pid, resolve), 0)
    }),
  )
}

/** Goes on with it on another computer, which is to the provider what another process would be. */
async function resume(
  computer: Computer,
  { carrier }: Party,
  packed: Uint8Array,
  before: Wire,
): Promise<Wire> {
  const session = await new Promise<Result<Session>>((resolve) => {
    computer.switch.resume(carrier, 'IPv4', packed, resolve)
  })
  return new Wire(valueOf(session), before.ledger)
}

/** Connections that change their owner; between real processes, three at a time, in test/integration/moving.test.ts. */
export const MOVING: Scenarios = [
  {
    title:
      'D27 WSD-DUP-8 to -11 WSD-DUP-16, -17 WSD-DUP-19 to -22 asked, stood still, duplicated, resumed; every byte arrives',
    server: async (party) => {
      const wire = await listenBare(party, party.own).next()
      await wire.read(1000)
      assert.equal(await hear(party), 'sent')
      const packed = await leave(wire)
      assert.equal(wire.session.state, 'closed')
      // The receive of the old owner ended with success and nothing, then its socket was closed.
      const { journal } = party.own
      const ended = journal.all('san^completeOverlappedRequest').at(-1)
      assert.deepEqual(ended?.args.slice(1), [0, 0])
      assert.ok(journal.at('san.duplicate') < journal.at('san.close'))
      const heir = party.computer()
      const next = await resume(heir, party, packed, wire)
      assert.ok((await next.read(HALF)).equals(patternOf(1000, HALF)))
      await next.write(patternOf(0, HALF))
      assert.ok((await next.read(HALF)).equals(patternOf(1000 + HALF, HALF)))
      // And back.
      const again = await resume(party.own, party, await leave(next), next)
      await again.write(patternOf(HALF, HALF))
      assert.equal(await again.end(), 'end')
      again.session.close()
    },
    client: async (party) => {
      const wire = await connectBare(party.own, await hear<SocketAddress>(party))
      await wire.write(patternOf(0, 1000))
      // Unread when the other end moves.
      await wire.write(patternOf(1000, 500))
      party.line.tell('sent')
      await wire.write(patternOf(1500, HALF - 500))
      assert.ok((await wire.read(HALF)).equals(patternOf(0, HALF)))
      await wire.write(patternOf(1000 + HALF, HALF))
      assert.ok((await wire.read(HALF)).equals(patternOf(HALF, HALF)))
      assert.equal(party.own.journal.count('san.close'), 0)
      wire.session.shutdown()
      assert.equal(await wire.end(), 'end')
      wire.session.close()
    },
  },

  {
    title: 'D27 WSD-DUP-13, -14 while it stands still the peer reads what it has, and its writes wait',
    server: async (party) => {
      const wire = await listenBare(party, party.own).next()
      await wire.write(patternOf(0, 3000))
      const packed = await leave(wire)
      party.line.tell('left')
      assert.equal(await hear(party), 'read, and wrote nothing')
      const next = await resume(party.computer(), party, packed, wire)
      assert.equal(String(await next.read(3)), 'now')
      next.session.close()
    },
    client: async (party) => {
      const wire = await connectBare(party.own, await hear<SocketAddress>(party))
      assert.equal(await hear(party), 'left')
      assert.ok((await wire.read(3000)).equals(patternOf(0, 3000)))
      assert.equal(wire.session.write([Buffer.from('now')]), 0)
      assert.equal(wire.session.readEnd(), 'more')
      party.line.tell('read, and wrote nothing')
      await wire.write(Buffer.from('now'))
      assert.equal(await wire.end(), 'end')
      wire.session.close()
    },
  },

  {
    title: 'D27 WSD-DUP-26 to -28 one that nobody resumes ends as a reset for the peer',
    server: async (party) => {
      const wire = await listenBare(party, party.own).next()
      await leave(wire)
      assert.equal(await hear(party), 'reset')
    },
    client: async (party) => {
      const wire = await connectBare(party.computer({ moveMs: 500 }), await hear<SocketAddress>(party))
      const end = await wire.end()
      assert.equal(end, 'reset')
      party.line.tell(end)
    },
  },
]
