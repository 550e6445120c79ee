import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import * as wsk from '../../src/faces/wsk/index.ts'
import type { WskConnectionSocket, WskDataIndication } from '../../src/faces/wsk/index.ts'
import { MSG_OOB, Winsock } from '../../src/faces/winsock/index.ts'
import { tcpip } from '../../src/providers/tcpip/index.ts'
import { Calls, Station, begin, events, outcomeOf, overEach, turns } from './station.ts'

const RECEIVE = wsk.WSK_EVENT_RECEIVE
const DISABLE = wsk.WSK_EVENT_DISABLE

type Indicated = [list: WskDataIndication | null, bytes: number, flags: number]
type Answer = (list: WskDataIndication, bytes: number, accepted: { value: number }) => wsk.NtStatus

/** A receive callback that notes what it is told, and answers as it is set. */
class Receiver {
  readonly calls = new Calls<Indicated>()
  readonly disconnects = new Calls<[flags: number]>()
  answer: Answer = () => wsk.STATUS_SUCCESS
  text = ''
  #inside = false

  readonly dispatch: wsk.WskClientConnectionDispatch = {
    WskReceiveEvent: (_context, flags, list, bytes, accepted) => {
      assert.equal(this.#inside, false, 'called while it runs')
      this.#inside = true
      if (list !== null) assert.equal(accepted.value, bytes)
      const status = list === null ? wsk.STATUS_SUCCESS : this.answer(list, bytes, accepted)
      if (list !== null && status === wsk.STATUS_SUCCESS) this.text += textOf(list).slice(0, accepted.value)
      this.#inside = false
      this.calls.note(list, bytes, flags)
      return status
    },
    WskDisconnectEvent: (_context, flags) => {
      this.disconnects.note(flags)
      return wsk.STATUS_SUCCESS
    },
  }
}

function textOf(list: WskDataIndication): string {
  let text = ''
  for (let node: WskDataIndication | null = list; node !== null; node = node.next) {
    text += wsk.bytesOf(node.buffer).toString()
  }
  return text
}

async function pairWith(
  station: Station,
): Promise<readonly [WskConnectionSocket, WskConnectionSocket, Receiver]> {
  const receiver = new Receiver()
  const [near, far] = await station.pair({}, { dispatch: receiver.dispatch })
  return [near, far, receiver]
}

function receive(socket: WskConnectionSocket, buffer: wsk.WskBuf, flags: 0 | 2 | 4 = 0) {
  return begin<number>((irp) => socket.dispatch.WskReceive(socket, buffer, flags, irp))
}

const room = (bytes: number): wsk.WskBuf => wsk.wskBuf(Buffer.alloc(bytes))

describe('WSK receiving', () => {
  overEach(
    'WSK-RECV-2 WSK-FLOW-1 WSK-FLOW-11 a receive waits, and is over with whatever comes',
    async (station) => {
      const [near, far] = await station.pair()
      const buffer = Buffer.alloc(16)
      const { returned, outcome } = receive(far, wsk.wskBuf(buffer))
      assert.equal(returned, wsk.STATUS_PENDING)
      await station.send(near, 'short')
      assert.deepEqual(await outcome, { returned, status: wsk.STATUS_SUCCESS, information: 5 })
      assert.equal(buffer.subarray(0, 5).toString(), 'short')
    },
  )

  overEach(
    'WSK-IND-1 WSK-SEND-6 a buffer is a chain with an offset, and not longer than its chain',
    async (station) => {
      const [near, far] = await station.pair()
      const chain = [Buffer.from('__the '), Buffer.from('whole'), Buffer.from(' chain__')]
      const sent = await station.call<number>((irp) =>
        near.dispatch.WskSend(near, { chain, offset: 2, length: 15 }, 0, irp),
      )
      assert.equal(sent, 15)
      const segments = [Buffer.alloc(5, '-'), Buffer.alloc(0), Buffer.alloc(20, '-')]
      const placed = await station.call<number>((irp) =>
        far.dispatch.WskReceive(far, { chain: segments, offset: 1, length: 15 }, wsk.WSK_FLAG_WAITALL, irp),
      )
      assert.equal(placed, 15)
      assert.equal(Buffer.concat(segments).toString(), '-the whole chain---------')
      for (const buffer of [
        { chain: [], offset: 0, length: 1 },
        { chain: [Buffer.alloc(4)], offset: 3, length: 2 },
        { chain: [Buffer.alloc(4)], offset: 5, length: 0 },
        { chain: [Buffer.alloc(4)], offset: -1, length: 2 },
      ]) {
        for (const call of [
          (irp: wsk.Irp<number>) => near.dispatch.WskSend(near, buffer, 0, irp),
          (irp: wsk.Irp<number>) => near.dispatch.WskReceive(near, buffer, 0, irp),
        ]) {
          assert.equal((await outcomeOf(call)).status, wsk.STATUS_INVALID_PARAMETER)
        }
      }
    },
  )

  overEach(
    'C6 WSK-RECV-3 WSK-RECV-4 WSK-FLOW-13 WSK-FLOW-14 WSK-FLOW-17 WAITALL: full, cut by the end, cut by a cancel',
    async (station) => {
      const [near, far] = await station.pair()
      const full = receive(far, room(6), wsk.WSK_FLAG_WAITALL)
      await station.send(near, 'abc')
      await turns()
      assert.equal(full.irp.state, 'pending')
      await station.send(near, 'def')
      assert.equal((await full.outcome).information, 6)
      const buffer = Buffer.alloc(6)
      const cut = receive(far, wsk.wskBuf(buffer), wsk.WSK_FLAG_WAITALL)
      await station.send(near, 'xy')
      while (buffer[1] === 0) await turns(1)
      cut.irp.cancel()
      assert.deepEqual(await cut.outcome, {
        returned: wsk.STATUS_PENDING,
        status: wsk.STATUS_CANCELLED,
        information: 2,
      })
      const last = receive(far, room(6), wsk.WSK_FLAG_WAITALL)
      const beyond = [receive(far, room(6), wsk.WSK_FLAG_WAITALL), receive(far, room(6))]
      await station.send(near, 'last')
      await station.disconnect(near)
      assert.deepEqual(await last.outcome, {
        returned: wsk.STATUS_PENDING,
        status: wsk.STATUS_SUCCESS,
        information: 4,
      })
      for (const { outcome } of [...beyond, receive(far, room(6))]) {
        const { status, information } = await outcome
        assert.deepEqual([status, information], [wsk.STATUS_SUCCESS, 0])
      }
    },
  )

  overEach('C6 WSK-RECV-4 WSK-FLOW-19 a reset fails what waits', async (station) => {
    const [near, far] = await station.pair()
    const waiting = [receive(far, room(6), wsk.WSK_FLAG_WAITALL), receive(far, room(6))]
    await station.send(near, 'abc')
    await turns()
    await station.disconnect(near, wsk.WSK_FLAG_ABORTIVE)
    for (const { outcome } of waiting) {
      const { status, information } = await outcome
      assert.deepEqual([wsk.statusName(status), information], ['STATUS_CONNECTION_RESET', 0])
    }
    const { status } = await outcomeOf<number>((irp) => far.dispatch.WskSend(far, room(1), 0, irp))
    assert.equal(wsk.statusName(status), 'STATUS_CONNECTION_RESET')
  })

  overEach('WSK-RECV-5 WSK-FLOW-16 a drain throws everything away until the end', async (station) => {
    const [near, far, receiver] = await pairWith(station)
    const draining = receive(far, room(0), wsk.WSK_FLAG_DRAIN)
    events(far, RECEIVE)
    await station.send(near, Buffer.alloc(100_000))
    await turns()
    assert.equal(draining.irp.state, 'pending')
    await station.disconnect(near)
    const { status, information } = await draining.outcome
    assert.deepEqual([status, information, receiver.calls.all.length], [wsk.STATUS_SUCCESS, 0, 0])
  })

  overEach('WSK-RECV-6 flags that do not go together, or do not exist, are refused', async (station) => {
    const [, far] = await station.pair()
    for (const [buffer, flags, status] of [
      [room(0), wsk.WSK_FLAG_WAITALL | wsk.WSK_FLAG_DRAIN, 'STATUS_INVALID_PARAMETER'],
      [room(1), wsk.WSK_FLAG_DRAIN, 'STATUS_INVALID_PARAMETER'],
      [room(1), 0x80, 'STATUS_NOT_SUPPORTED'],
    ] as const) {
      assert.equal(wsk.statusName((await receive(far, buffer, flags as 2).outcome).status), status)
    }
  })

  overEach(
    'WSK-RECV-1 WSK-FLOW-2 WSK-FLOW-4 WSK-FLOW-26 WSK-EVC-16 WSK-CONN-5 what came before is told when the callback is enabled',
    async (station) => {
      const [near, far, receiver] = await pairWith(station)
      await station.send(near, 'early')
      await turns()
      assert.equal(receiver.calls.all.length, 0)
      assert.equal(events(far, RECEIVE), wsk.STATUS_SUCCESS)
      await receiver.calls.reach(1)
      assert.equal(receiver.text, 'early')
      await station.send(near, ' and late')
      await receiver.calls.reach(2)
      assert.equal(receiver.text, 'early and late')
    },
  )

  overEach(
    'C4 WSK-RECV-7 WSK-FLOW-5 WSK-FLOW-10 WSK-EVT-9 a part is taken: the rest waits for a receive that takes nothing',
    async (station) => {
      const [near, far, receiver] = await pairWith(station)
      receiver.answer = (list, _bytes, accepted) => {
        // What is shown belongs to the client: what it does not take comes again as it left it.
        list.buffer.chain[0]?.fill(35)
        accepted.value = 3
        return wsk.STATUS_SUCCESS
      }
      events(far, RECEIVE)
      await station.send(near, 'abcdef')
      await receiver.calls.reach(1)
      await station.send(near, 'ghi')
      await turns()
      assert.equal(receiver.calls.all.length, 1)
      receiver.answer = () => wsk.STATUS_SUCCESS
      receiver.text = ''
      const resumed = await receive(far, { chain: [], offset: 0, length: 0 }).outcome
      assert.deepEqual([resumed.status, resumed.information], [wsk.STATUS_SUCCESS, 0])
      while (receiver.text.length < 6) await receiver.calls.reach(receiver.calls.all.length + 1)
      assert.equal(receiver.text, '###ghi')
    },
  )

  overEach(
    'WSK-FLOW-6 WSK-FLOW-8 WSK-FLOW-9 WSK-EVT-7 refused: nothing is taken, and the next receive gets it and lets it go on',
    async (station) => {
      for (const answer of [
        () => wsk.STATUS_DATA_NOT_ACCEPTED,
        () => wsk.STATUS_DEVICE_NOT_READY,
        (_list: WskDataIndication, _bytes: number, accepted: { value: number }) => {
          accepted.value = 0
          return wsk.STATUS_SUCCESS
        },
      ]) {
        const [near, far, receiver] = await pairWith(station)
        receiver.answer = answer
        events(far, RECEIVE)
        await station.send(near, 'refused')
        await receiver.calls.reach(1)
        await turns()
        assert.equal(receiver.calls.all.length, 1)
        receiver.answer = () => wsk.STATUS_SUCCESS
        assert.equal((await station.receive(far, 7)).toString(), 'refused')
        await station.send(near, 'told again')
        await receiver.calls.reach(2)
        assert.equal(receiver.text, 'told again')
      }
    },
  )

  overEach(
    'C5 WSK-IND-4 WSK-IND-6 WSK-FLOW-7 WSK-FLOW-21 WSK-FLOW-22 WSK-FLOW-29 lists are retained, and released in any order',
    async (station) => {
      const [near, far, receiver] = await pairWith(station)
      receiver.answer = () => wsk.STATUS_PENDING
      events(far, RECEIVE)
      for (const [at, text] of ['one', 'two', 'three'].entries()) {
        await station.send(near, text)
        await receiver.calls.reach(at + 1)
      }
      const lists = receiver.calls.all.map(([list]) => list!)
      assert.deepEqual(lists.map(textOf), ['one', 'two', 'three'])
      const backlog = wsk.out<number>()
      await station.call<number>((irp) =>
        far.dispatch.WskControlSocket(
          far,
          wsk.WskIoctl,
          wsk.SIO_WSK_QUERY_RECEIVE_BACKLOG,
          0,
          null,
          backlog,
          irp,
        ),
      )
      assert.equal(backlog.value, 0)
      const [one, two, three] = lists as [WskDataIndication, WskDataIndication, WskDataIndication]
      assert.equal(far.dispatch.WskRelease(far, two), wsk.STATUS_SUCCESS)
      assert.equal(far.dispatch.WskRelease(far, two), wsk.STATUS_INVALID_PARAMETER)
      assert.equal(near.dispatch.WskRelease(near, one), wsk.STATUS_INVALID_PARAMETER)
      const copy: WskDataIndication = { next: null, buffer: one.buffer }
      assert.equal(far.dispatch.WskRelease(far, copy), wsk.STATUS_INVALID_PARAMETER)
      // Unlinked from one list and hung on another.
      three.next = one
      assert.equal(far.dispatch.WskRelease(far, three), wsk.STATUS_SUCCESS)
    },
  )

  overEach(
    'C5 WSK-IND-3 WSK-IND-7 WSK-FLOW-3 WSK-FLOW-23 what is retained holds the sender back, until it is released',
    async (station) => {
      const [near, far, receiver] = await pairWith(station)
      receiver.answer = () => wsk.STATUS_PENDING
      await station.set(far, wsk.SO_RCVBUF, 32_768)
      events(far, RECEIVE)
      const bytes = Buffer.alloc(24 << 20, 'held back ')
      let sent = false
      const sending = station.send(near, bytes).then(() => {
        sent = true
      })
      let told = 0
      let released = 0
      while (told < bytes.length) {
        while (receiver.calls.all.length === released) await receiver.calls.reach(released + 1)
        await turns()
        const lists = receiver.calls.all.slice(released)
        const held = lists.reduce((sum, [, length]) => sum + length, 0)
        assert.ok(held <= 32_768, `${held} bytes are retained`)
        if (told < 1 << 20) assert.equal(sent, false)
        assert.equal((lists.at(-1)![2] & wsk.WSK_FLAG_RELEASE_ASAP) !== 0, held > 16_384)
        told += held
        released += lists.length
        for (const [list] of lists) assert.equal(far.dispatch.WskRelease(far, list!), wsk.STATUS_SUCCESS)
        // The first few rounds show it; the rest only has to arrive.
        if (told > 1 << 20) receiver.answer = () => wsk.STATUS_SUCCESS
        if (told > 1 << 20) break
      }
      while (told < bytes.length) {
        await receiver.calls.reach(released + 1)
        told += receiver.calls.all[released]![1]
        released += 1
      }
      await sending
      assert.equal(told, bytes.length)
    },
  )

  overEach(
    'what is retained is a copy: no peer changes it, and changing it changes nothing else',
    async (station) => {
      const [near, far, receiver] = await pairWith(station)
      receiver.answer = () => (receiver.calls.all.length === 0 ? wsk.STATUS_PENDING : wsk.STATUS_SUCCESS)
      events(far, RECEIVE)
      await station.send(near, 'kept')
      const [kept] = await receiver.calls.reach(1)
      // More than any ring holds, so that every byte of it is written again.
      const more = 'more'.repeat(1 << 18)
      const sending = station.send(near, more)
      while (receiver.text.length < more.length) await turns(1)
      await sending
      assert.equal(textOf(kept!), 'kept')
      for (const segment of kept!.buffer.chain) segment.fill(0)
      await station.send(near, 'last')
      while (receiver.text.length < more.length + 4) await turns(1)
      assert.ok(receiver.text === `${more}last`)
      assert.equal(far.dispatch.WskRelease(far, kept!), wsk.STATUS_SUCCESS)
    },
  )

  overEach('WSK-FLOW-12 a receive that is posted inside the callback gets what follows', async (station) => {
    const [near, far, receiver] = await pairWith(station)
    const buffer = Buffer.alloc(16)
    let posted: ReturnType<typeof receive> | undefined
    receiver.answer = (_list, _bytes, accepted) => {
      posted ??= receive(far, wsk.wskBuf(buffer))
      assert.equal(posted.returned, wsk.STATUS_PENDING)
      accepted.value = 4
      return wsk.STATUS_SUCCESS
    }
    events(far, RECEIVE)
    await station.send(near, 'hereyours')
    await receiver.calls.reach(1)
    assert.equal((await posted!.outcome).information, 5)
    assert.equal(buffer.subarray(0, 5).toString(), 'yours')
    assert.equal(receiver.text, 'here')
  })

  overEach(
    'WSK-EVT-4 WSK-EVT-5 WSK-FLOW-18 WSK-DISC-6 the end is told once, after every byte before it was taken',
    async (station) => {
      const [near, far, receiver] = await pairWith(station)
      receiver.answer = () => wsk.STATUS_DATA_NOT_ACCEPTED
      events(far, RECEIVE | wsk.WSK_EVENT_DISCONNECT)
      await station.send(near, 'before the end')
      await station.disconnect(near)
      await receiver.calls.reach(1)
      await turns()
      assert.equal(receiver.disconnects.all.length, 0)
      assert.equal((await station.receive(far, 14)).toString(), 'before the end')
      assert.deepEqual(await receiver.disconnects.reach(1), [0])
      await turns()
      assert.equal(receiver.disconnects.all.length, 1)
      // The other direction goes on.
      await station.send(far, 'still')
      assert.equal((await station.receive(near, 5)).toString(), 'still')
    },
  )

  overEach('WSK-FLOW-19 WSK-DISC-6 a reset is told at once, whatever is unread', async (station) => {
    const [near, far, receiver] = await pairWith(station)
    receiver.answer = () => wsk.STATUS_DATA_NOT_ACCEPTED
    events(far, RECEIVE | wsk.WSK_EVENT_DISCONNECT)
    await station.send(near, 'never read')
    await receiver.calls.reach(1)
    await station.disconnect(near, wsk.WSK_FLAG_ABORTIVE)
    assert.deepEqual(await receiver.disconnects.reach(1), [wsk.WSK_FLAG_ABORTIVE])
    const { status } = await receive(far, room(4)).outcome
    assert.equal(wsk.statusName(status), 'STATUS_CONNECTION_RESET')
  })

  overEach(
    'WSK-FLOW-20 WSK-FLOW-28 after our own end receiving goes on, after our own abort nothing does, and nothing is told',
    async (station) => {
      const [near, far, receiver] = await pairWith(station)
      events(far, wsk.WSK_EVENT_DISCONNECT)
      await station.disconnect(far)
      const { status } = await outcomeOf<number>((irp) => far.dispatch.WskSend(far, room(1), 0, irp))
      assert.equal(wsk.statusName(status), 'STATUS_INVALID_DEVICE_STATE')
      await station.send(near, 'onwards')
      assert.equal((await station.receive(far, 7)).toString(), 'onwards')
      const waiting = receive(far, room(1))
      await station.disconnect(far, wsk.WSK_FLAG_ABORTIVE)
      assert.equal(wsk.statusName((await waiting.outcome).status), 'STATUS_CONNECTION_ABORTED')
      await turns()
      assert.equal(receiver.disconnects.all.length, 0)
    },
  )

  overEach(
    'WSK-EVC-1 WSK-EVC-2 WSK-EVC-7 WSK-EVC-8 WSK-FLOW-24 WSK-FLOW-25 WSK-ORDER-12 WSK-ORDER-21 disabling inside the callback waits for it',
    async (station) => {
      const [near, far, receiver] = await pairWith(station)
      let inside: wsk.NtStatus | undefined
      receiver.answer = (_list, _bytes, accepted) => {
        inside = events(far, RECEIVE | DISABLE)
        accepted.value = 1
        return wsk.STATUS_SUCCESS
      }
      assert.equal(
        events(far, RECEIVE | wsk.WSK_EVENT_DISCONNECT | wsk.WSK_EVENT_ACCEPT),
        wsk.STATUS_INVALID_PARAMETER,
      )
      events(far, RECEIVE)
      await station.send(near, 'abc')
      await receiver.calls.reach(1)
      assert.equal(inside, wsk.STATUS_EVENT_PENDING)
      assert.equal(wsk.ntSuccess(inside), true)
      await turns()
      assert.equal(receiver.calls.all.length, 1)
      // What the running call answered counts; the rest waits, and enabling again tells it.
      const barrier = begin<number>((irp) => events(far, RECEIVE | DISABLE, irp))
      assert.deepEqual(
        [barrier.returned, (await barrier.outcome).status],
        [wsk.STATUS_SUCCESS, wsk.STATUS_SUCCESS],
      )
      let pending: ReturnType<typeof begin<number>> | undefined
      receiver.answer = () => {
        pending = begin<number>((irp) => events(far, RECEIVE | DISABLE, irp))
        assert.equal(pending.returned, wsk.STATUS_PENDING)
        assert.equal(pending.irp.state, 'pending')
        return wsk.STATUS_SUCCESS
      }
      events(far, RECEIVE)
      await receiver.calls.reach(2)
      assert.equal(receiver.text, 'abc')
      assert.equal((await pending!.outcome).status, wsk.STATUS_SUCCESS)
      const two = RECEIVE | wsk.WSK_EVENT_DISCONNECT | DISABLE
      assert.equal(events(far, two), wsk.STATUS_INVALID_PARAMETER)
      assert.equal(events(far, 0x1000), wsk.STATUS_INVALID_PARAMETER)
      const withIrp = await begin<number>((irp) => events(far, RECEIVE, irp)).outcome
      assert.equal(withIrp.status, wsk.STATUS_INVALID_PARAMETER)
    },
  )

  overEach(
    'WSK-EVC-14 WSK-EVC-15 a callback that is not there, or not yet, cannot be enabled',
    async (station) => {
      const [near] = await station.pair()
      assert.equal(events(near, RECEIVE), wsk.STATUS_INVALID_PARAMETER)
      const socket = await station.socket(wsk.WSK_FLAG_CONNECTION_SOCKET, {
        dispatch: new Receiver().dispatch,
      })
      assert.equal(events(socket, RECEIVE), wsk.STATUS_INVALID_DEVICE_STATE)
      const listener = await station.socket(wsk.WSK_FLAG_LISTEN_SOCKET)
      assert.equal(events(listener, wsk.WSK_EVENT_ACCEPT), wsk.STATUS_INVALID_DEVICE_STATE)
    },
  )

  overEach('WSK-FLOW-30 more than everything is everything', async (station) => {
    const [near, far, receiver] = await pairWith(station)
    receiver.answer = (_list, bytes, accepted) => {
      accepted.value = bytes + 100
      return wsk.STATUS_SUCCESS
    }
    events(far, RECEIVE)
    await station.send(near, 'abc')
    await receiver.calls.reach(1)
    await station.send(near, 'def')
    await receiver.calls.reach(2)
    assert.equal(receiver.text, 'abcdef')
  })

  overEach('WSK-FLOW-15 a receive that is cancelled before anything came takes nothing', async (station) => {
    const [near, far] = await station.pair()
    const waiting = receive(far, room(8))
    waiting.irp.cancel()
    const { status, information } = await waiting.outcome
    assert.deepEqual([status, information], [wsk.STATUS_CANCELLED, 0])
    await station.send(near, 'all of it')
    assert.equal((await station.receive(far, 9)).toString(), 'all of it')
  })

  overEach('WSK-BKLG-3 what is unread can be asked for', async (station) => {
    const [near, far] = await station.pair()
    await station.send(near, 'twelve bytes')
    await station.arrived(far, 12)
    const backlog = wsk.out<number>()
    await station.call<number>((irp) =>
      far.dispatch.WskControlSocket(
        far,
        wsk.WskIoctl,
        wsk.SIO_WSK_QUERY_RECEIVE_BACKLOG,
        0,
        null,
        backlog,
        irp,
      ),
    )
    assert.equal(backlog.value, 12)
  })

  test('WAITALL goes on behind an urgent byte of a Winsock peer, which is none of its bytes', async (t) => {
    const station = new Station(t, 'loopback')
    const { socket, address } = await station.listener()
    const peer = new Winsock({ switch: station.switch, tcpip: tcpip() })
    peer.startup()
    t.after(() => peer.cleanup())
    const made = peer.socket()
    assert.ok(made.ok)
    await made.value.blocking.connect(address)
    const far = await station.accept(socket)
    made.value.send(Buffer.from('before'))
    made.value.send(Buffer.from('!'), MSG_OOB)
    made.value.send(Buffer.from('behind'))
    // All of it is there: nothing will be told that could make it go on.
    await station.arrived(far, 6)
    await turns()
    const buffer = Buffer.alloc(12)
    const whole = receive(far, wsk.wskBuf(buffer), wsk.WSK_FLAG_WAITALL)
    assert.equal((await whole.outcome).information, 12)
    assert.equal(buffer.toString(), 'beforebehind')
  })
})
