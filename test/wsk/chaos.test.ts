import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import * as wsk from '../../src/faces/wsk/index.ts'
import type { Chaos, WskConnectionSocket } from '../../src/faces/wsk/index.ts'
import { CARRIERS, Calls, Station, cannotCarry, events } from './station.ts'

const ROUNDS = Number(process.env['WSK_CHAOS_ROUNDS'] ?? 12)
const BYTES = 40_000

/** Mulberry32: small, and the same everywhere. */
function chaosOf(seed: number): Chaos {
  let state = seed
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  return { pick: (below) => Math.floor(next() * below), once: (times) => next() * times < 1 }
}

/**
 * A client that relies on nothing that is not promised: takes what comes, by whichever way, in pieces, keeping some of it for a
 * while, and turning its callback off and on.
 */
async function readAll(socket: WskConnectionSocket, told: Told, chaos: Chaos): Promise<Buffer> {
  for (;;) {
    if (chaos.once(3)) {
      if (await pull(socket, told, 1 + chaos.pick(3000))) return Buffer.concat(told.pieces)
    } else if (chaos.once(2)) {
      events(socket, wsk.WSK_EVENT_RECEIVE)
      await new Promise((resolve) => setImmediate(resolve))
      if (chaos.once(2)) continue
      const irp = new wsk.Irp<number>()
      const disabled = irp.promise()
      events(socket, wsk.WSK_EVENT_RECEIVE | wsk.WSK_EVENT_DISABLE, irp)
      await disabled
    } else {
      for (const list of told.kept.splice(0)) socket.dispatch.WskRelease(socket, list)
    }
  }
}

/** One receive, while the callback may be enabled; true at the peer's end. */
function pull(socket: WskConnectionSocket, told: Told, bytes: number): Promise<boolean> {
  const buffer = Buffer.alloc(bytes)
  return new Promise((resolve, reject) => {
    // In the routine, not after it: what is told next may be told before anybody who awaits goes on.
    const irp = new wsk.Irp<number>().setCompletionRoutine(({ ioStatus }) => {
      if (ioStatus.status !== wsk.STATUS_SUCCESS) reject(new Error(wsk.statusName(ioStatus.status)))
      else if (ioStatus.information > 0) told.pieces.push(buffer.subarray(0, ioStatus.information))
      resolve(ioStatus.information === 0)
      return wsk.STATUS_MORE_PROCESSING_REQUIRED
    })
    socket.dispatch.WskReceive(socket, wsk.wskBuf(buffer), 0, irp)
  })
}

class Told {
  readonly pieces: Buffer[] = []
  readonly kept: wsk.WskDataIndication[] = []
  readonly calls = new Calls<[]>()
  readonly dispatch: wsk.WskClientConnectionDispatch

  constructor(chaos: Chaos) {
    this.dispatch = {
      WskReceiveEvent: (_context, _flags, list, bytes, accepted) => {
        if (list === null) return wsk.STATUS_SUCCESS
        if (chaos.once(5)) return wsk.STATUS_DATA_NOT_ACCEPTED
        const all: Buffer[] = []
        for (let node: wsk.WskDataIndication | null = list; node !== null; node = node.next) {
          all.push(wsk.bytesOf(node.buffer))
        }
        const whole = Buffer.concat(all)
        if (chaos.once(3)) {
          this.pieces.push(whole)
          this.kept.push(list)
          return wsk.STATUS_PENDING
        }
        accepted.value = chaos.once(2) ? bytes : chaos.pick(bytes + 1)
        this.pieces.push(whole.subarray(0, accepted.value))
        return wsk.STATUS_SUCCESS
      },
    }
  }
}

describe('WSK when every open order varies', () => {
  for (const carrier of CARRIERS) {
    test(
      `C2 WSK-ORDER-11 WSK-FLOW-9 every byte arrives once, in order, whatever the scheduler does [${carrier}]`,
      { skip: cannotCarry(carrier) },
      async (t) => {
        for (let round = 0; round < ROUNDS; round++) {
          const seed = Number(process.env['WSK_CHAOS_SEED'] ?? Date.now() % 2 ** 31) + round
          await t.test(`seed ${seed}`, async (context) => {
            const chaos = chaosOf(seed)
            const station = new Station(context, carrier, { chaos })
            const told = new Told(chaosOf(seed + 1))
            const [near, far] = await station.pair({}, { dispatch: told.dispatch })
            const sent = Buffer.alloc(BYTES)
            for (let at = 0; at < sent.length; at++) sent[at] = at * 31 + seed
            const sending = (async () => {
              for (let at = 0; at < sent.length;) {
                const length = Math.min(1 + chaos.pick(5000), sent.length - at)
                await station.send(near, sent.subarray(at, at + length))
                at += length
              }
              await station.disconnect(near)
            })()
            const back = await readAll(far, told, chaosOf(seed + 2))
            await sending
            assert.ok(
              back.equals(sent),
              `${back.length} bytes of ${sent.length}; WSK_CHAOS_SEED=${seed} repeats it`,
            )
            for (const list of told.kept.splice(0)) far.dispatch.WskRelease(far, list)
          })
        }
      },
    )
  }
})
