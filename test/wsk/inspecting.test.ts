import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import * as wsk from '../../src/faces/wsk/index.ts'
import type { WskInspectAction, WskInspectId, WskListenSocket } from '../../src/faces/wsk/index.ts'
import { Calls, Station, begin, events, outcomeOf, overEach, turns } from './station.ts'
import type { Outcome } from './station.ts'

type Inspected = [id: WskInspectId, local: wsk.SockAddr, remote: wsk.SockAddr]

/** A client that inspects: notes what it is asked and told, and answers as it is set. */
class Inspector {
  readonly asked = new Calls<Inspected>()
  readonly aborted = new Calls<[id: WskInspectId]>()
  readonly accepted = new Calls<[socket: wsk.WskConnectionSocket]>()
  readonly dead = new Calls<[]>()
  readonly order: string[] = []
  answer: (id: WskInspectId) => WskInspectAction = () => wsk.WskInspectAccept

  readonly dispatch: wsk.WskClientListenDispatch = {
    WskInspectEvent: (_context, local, remote, id) => {
      if (id === null || local === null || remote === null) {
        this.dead.note()
        return wsk.WskInspectReject
      }
      const answer = this.answer(id)
      this.order.push(`inspect ${id.serialNumber}`)
      this.asked.note({ ...id }, { ...local }, { ...remote })
      return answer
    },
    WskAbortEvent: (_context, id) => {
      this.order.push(`abort ${id.serialNumber}`)
      this.aborted.note({ ...id })
      return wsk.STATUS_SUCCESS
    },
    WskAcceptEvent: (_context, _flags, _local, _remote, socket) => {
      if (socket === null) return wsk.STATUS_REQUEST_NOT_ACCEPTED
      this.order.push(`accept ${idOf(socket)?.serialNumber}`)
      this.accepted.note(socket)
      return wsk.STATUS_SUCCESS
    },
  }
}

function idOf(socket: wsk.WskAnySocket): WskInspectId | undefined {
  const id = wsk.out<WskInspectId>()
  socket.dispatch.WskControlSocket(socket, wsk.WskIoctl, wsk.SIO_WSK_QUERY_INSPECT_ID, 0, null, id, null)
  return id.value
}

interface Inspecting {
  readonly inspector: Inspector
  readonly socket: WskListenSocket
  readonly address: wsk.SockAddr
  readonly complete: (id: WskInspectId, action: wsk.WskInspectDecision) => Promise<Outcome>
}

async function inspecting(station: Station): Promise<Inspecting> {
  const inspector = new Inspector()
  const { socket, address } = await station.listener({ dispatch: inspector.dispatch, conditional: true })
  return {
    inspector,
    socket,
    address,
    complete: (id, action) =>
      outcomeOf<0>((irp) => socket.dispatch.WskInspectComplete(socket, id, action, irp)),
  }
}

/** Somebody who connects, and may give up. */
async function knock(station: Station, address: wsk.SockAddr) {
  const socket = await station.socket(wsk.WSK_FLAG_CONNECTION_SOCKET)
  await station.bind(socket)
  const connecting = begin<0>((irp) => socket.dispatch.WskConnect(socket, address, 0, irp))
  return {
    socket,
    connecting,
    /** How it fared: connected and alive, refused, or reset. */
    async fate(): Promise<string> {
      const { status } = await connecting.outcome
      if (status !== wsk.STATUS_SUCCESS) return wsk.statusName(status)
      const read = await outcomeOf<number>((irp) =>
        socket.dispatch.WskReceive(socket, wsk.wskBuf(Buffer.alloc(1)), 0, irp),
      )
      return wsk.statusName(read.status)
    },
  }
}

const pend = (): WskInspectAction => wsk.WskInspectPend
/** A refused peer's connect fails over a SAN; over TCP/IP it is reset once it believes in its connection. */
const REFUSED = {
  tcpip: 'STATUS_CONNECTION_RESET',
  loopback: 'STATUS_CONNECTION_REFUSED',
  shm: 'STATUS_CONNECTION_REFUSED',
  fabric: 'STATUS_CONNECTION_REFUSED',
}

describe('WSK conditional accept', () => {
  overEach(
    'C3 WSK-INSP-1 to -3 WSK-INSP-8 WSK-CA-2 WSK-CA-4 WSK-CA-18 accepted at once: inspected, then delivered the ordinary way',
    async (station) => {
      const { inspector, socket, address } = await inspecting(station)
      events(socket, wsk.WSK_EVENT_ACCEPT)
      const { socket: near, connecting } = await knock(station, address)
      await connecting.outcome
      const [id, local, remote] = await inspector.asked.reach(1)
      const [far] = await inspector.accepted.reach(1)
      station.keep(far)
      assert.deepEqual(inspector.order, [`inspect ${id.serialNumber}`, `accept ${id.serialNumber}`])
      assert.deepEqual([local, remote], [address, await station.localAddress(near)])
      await station.send(near, 'in')
      assert.equal((await station.receive(far, 2)).toString(), 'in')
      assert.equal(inspector.aborted.all.length, 0)
    },
  )

  overEach('WSK-CA-1 without the option nothing is inspected', async (station) => {
    const inspector = new Inspector()
    const { socket, address } = await station.listener({ dispatch: inspector.dispatch })
    await station.connect(address)
    await station.accept(socket)
    assert.equal(inspector.asked.all.length, 0)
  })

  overEach(
    'C3 WSK-INSP-4 WSK-CA-3 WSK-CA-27 rejected at once: refused, and nothing else is told',
    async (station, { carrier }) => {
      const { inspector, socket, address } = await inspecting(station)
      events(socket, wsk.WSK_EVENT_ACCEPT)
      for (const answer of [wsk.WskInspectReject, 17 as number]) {
        inspector.answer = () => answer as WskInspectAction
        assert.equal(await (await knock(station, address)).fate(), REFUSED[carrier])
      }
      await turns()
      assert.deepEqual([inspector.accepted.all.length, inspector.aborted.all.length], [0, 0])
    },
  )

  overEach(
    'C3 WSK-INSP-5 WSK-INSP-6 WSK-INSP-9 WSK-CA-5 WSK-CA-6 WSK-CA-15 pended, then accepted: until then the peer waits',
    async (station, { carrier }) => {
      const { inspector, socket, address, complete } = await inspecting(station)
      inspector.answer = pend
      const accepting = begin<wsk.WskConnectionSocket>((irp) =>
        socket.dispatch.WskAccept(socket, 0, null, null, null, null, irp),
      )
      const one = await knock(station, address)
      const [first] = await inspector.asked.reach(1)
      const other = await knock(station, address)
      const [second] = await inspector.asked.reach(2)
      await turns()
      // On TCP/IP the kernel has answered already.
      const waiting = carrier === 'tcpip' ? 'held' : 'pending'
      assert.deepEqual([one.connecting.irp.state, other.connecting.irp.state], [waiting, waiting])
      assert.equal(accepting.irp.state, 'pending')
      // By value, not the object that was shown.
      const { status } = await complete({ ...second }, wsk.WskInspectAccept)
      assert.equal(status, wsk.STATUS_SUCCESS)
      const far = (await accepting.outcome).information as wsk.WskConnectionSocket
      station.keep(far)
      assert.deepEqual(idOf(far), second)
      await station.send(other.socket, 'second')
      assert.equal((await station.receive(far, 6)).toString(), 'second')
      await complete(first, wsk.WskInspectAccept)
      assert.deepEqual(idOf(await station.accept(socket)), first)
    },
  )

  overEach('C3 WSK-CA-7 pended, then rejected', async (station, { carrier }) => {
    const { inspector, address, complete } = await inspecting(station)
    inspector.answer = pend
    const one = await knock(station, address)
    const [id] = await inspector.asked.reach(1)
    assert.equal((await complete(id, wsk.WskInspectReject)).status, wsk.STATUS_SUCCESS)
    assert.equal(await one.fate(), REFUSED[carrier])
    await turns()
    assert.equal(inspector.aborted.all.length, 0)
  })

  overEach(
    'C3 WSK-INSP-7 WSK-CA-8 WSK-CA-13 WSK-CA-28 the peer gives up while it is pended: told once, and completing comes too late',
    async (station) => {
      const { inspector, socket, address, complete } = await inspecting(station)
      inspector.answer = pend
      for (const action of [wsk.WskInspectAccept, wsk.WskInspectReject] as const) {
        const told = inspector.aborted.all.length
        const one = await knock(station, address)
        const [id] = await inspector.asked.reach(told + 1)
        await station.close(one.socket)
        assert.deepEqual(await inspector.aborted.reach(told + 1), [id])
        assert.equal(wsk.statusName((await complete(id, action)).status), 'STATUS_CONNECTION_ABORTED')
        assert.equal(wsk.statusName((await complete(id, action)).status), 'STATUS_INVALID_PARAMETER')
      }
      const accepting = begin<wsk.WskConnectionSocket>((irp) =>
        socket.dispatch.WskAccept(socket, 0, null, null, null, null, irp),
      )
      await turns()
      assert.equal(accepting.irp.state, 'pending')
      accepting.irp.cancel()
      await accepting.outcome
    },
  )

  overEach(
    'C3 WSK-CA-10 the peer gives up inside the callback: a rejection is silent, a pend is followed by the abort',
    async (station) => {
      const { inspector, address } = await inspecting(station)
      for (const action of [wsk.WskInspectReject, wsk.WskInspectPend] as const) {
        const before = inspector.asked.all.length
        const one = await station.socket(wsk.WSK_FLAG_CONNECTION_SOCKET)
        await station.bind(one)
        inspector.answer = () => {
          void station.close(one)
          return action
        }
        const connecting = outcomeOf<0>((irp) => one.dispatch.WskConnect(one, address, 0, irp))
        const [id] = await inspector.asked.reach(before + 1)
        await connecting
        if (action === wsk.WskInspectPend) assert.deepEqual(await inspector.aborted.reach(1), [id])
        else await turns()
        assert.equal(inspector.aborted.all.length, action === wsk.WskInspectPend ? 1 : 0)
      }
      const [last] = inspector.order.slice(-1)
      assert.match(last ?? '', /^abort/)
    },
  )

  overEach(
    'C3 WSK-CA-9 WSK-CA-11 WSK-CA-16 completed while the peer gives up: one outcome, whichever it is',
    async (station) => {
      const { inspector, socket, address, complete } = await inspecting(station)
      inspector.answer = pend
      const accepting = begin<wsk.WskConnectionSocket>((irp) =>
        socket.dispatch.WskAccept(socket, 0, null, null, null, null, irp),
      )
      const one = await knock(station, address)
      const [id] = await inspector.asked.reach(1)
      const closing = station.close(one.socket)
      const completed = await complete(id, wsk.WskInspectAccept)
      await closing
      const aborted = inspector.aborted.reach(1).then(() => 'aborted' as const)
      const delivered = accepting.outcome.then((outcome) => outcome)
      const outcome = await Promise.race([aborted, delivered])
      if (outcome === 'aborted') {
        assert.ok([wsk.STATUS_SUCCESS, wsk.STATUS_CONNECTION_ABORTED].includes(completed.status))
        accepting.irp.cancel()
        await accepting.outcome
      } else {
        // It stood for a moment: its reset is the socket's business.
        const far = outcome.information as wsk.WskConnectionSocket
        station.keep(far)
        const { status, information } = await outcomeOf<number>((irp) =>
          far.dispatch.WskReceive(far, wsk.wskBuf(Buffer.alloc(1)), 0, irp),
        )
        assert.ok(status === wsk.STATUS_CONNECTION_RESET || information === 0)
        aborted.catch(() => undefined)
        inspector.aborted.note(id)
        assert.equal(inspector.aborted.all.length, 1)
      }
    },
  )

  overEach(
    'WSK-INSP-11 WSK-CA-12 what is not pended cannot be completed, and a listener that does not inspect has nothing to complete',
    async (station) => {
      const { inspector, socket, address, complete } = await inspecting(station)
      const name = async (outcome: Promise<Outcome>): Promise<string> =>
        wsk.statusName((await outcome).status)
      const unknown = { key: 7n, serialNumber: 99 }
      assert.equal(await name(complete(unknown, wsk.WskInspectAccept)), 'STATUS_INVALID_PARAMETER')
      await knock(station, address)
      const [id] = await inspector.asked.reach(1)
      await station.accept(socket)
      assert.equal(await name(complete(id, wsk.WskInspectAccept)), 'STATUS_INVALID_PARAMETER')
      inspector.answer = pend
      await knock(station, address)
      const [pended] = await inspector.asked.reach(2)
      assert.equal(await name(complete(pended, wsk.WskInspectPend as 1)), 'STATUS_INVALID_PARAMETER')
      assert.equal(await name(complete(pended, wsk.WskInspectAccept)), 'STATUS_SUCCESS')
      assert.equal(await name(complete(pended, wsk.WskInspectReject)), 'STATUS_INVALID_PARAMETER')
      const plain = await station.listener()
      const other = outcomeOf<0>((irp) =>
        plain.socket.dispatch.WskInspectComplete(plain.socket, pended, wsk.WskInspectAccept, irp),
      )
      assert.equal(await name(other), 'STATUS_INVALID_DEVICE_STATE')
      await station.accept(socket)
    },
  )

  overEach(
    'WSK-CA-14 completed from inside the callback: it counts once the callback has pended',
    async (station) => {
      const { inspector, socket, address, complete } = await inspecting(station)
      for (const [answer, status] of [
        [wsk.WskInspectPend, 'STATUS_SUCCESS'],
        [wsk.WskInspectAccept, 'STATUS_INVALID_PARAMETER'],
      ] as const) {
        let completing: Promise<Outcome> | undefined
        inspector.answer = (id) => {
          completing = complete(id, wsk.WskInspectAccept)
          return answer
        }
        await knock(station, address)
        await station.accept(socket)
        assert.equal(wsk.statusName((await completing!).status), status)
      }
    },
  )

  overEach(
    'WSK-INSP-12 WSK-CA-17 WSK-CA-23 ids are unique, and asked for on the accepted socket only',
    async (station) => {
      const { inspector, socket, address } = await inspecting(station)
      const ids = new Set<string>()
      for (let i = 0; i < 8; i++) {
        await knock(station, address)
        const accepted = await station.accept(socket)
        ids.add(wsk.inspectIdKey(idOf(accepted)!))
        await station.close(accepted)
      }
      assert.equal(ids.size, 8)
      assert.deepEqual(
        [...ids],
        inspector.asked.all.map(([id]) => wsk.inspectIdKey(id)),
      )
      const query = (other: wsk.WskAnySocket): wsk.NtStatus =>
        other.dispatch.WskControlSocket(
          other,
          wsk.WskIoctl,
          wsk.SIO_WSK_QUERY_INSPECT_ID,
          0,
          null,
          wsk.out(),
          null,
        )
      assert.equal(query(socket), wsk.STATUS_INVALID_DEVICE_REQUEST)
      const [near, far] = await station.pair()
      assert.equal(query(near), wsk.STATUS_INVALID_DEVICE_REQUEST)
      assert.equal(query(far), wsk.STATUS_INVALID_DEVICE_REQUEST)
    },
  )

  overEach(
    'WSK-CA-20 WSK-ORDER-7 a listener that closes takes its requests with it, and tells nothing',
    async (station, { carrier }) => {
      const { inspector, socket, address } = await inspecting(station)
      inspector.answer = pend
      const one = await knock(station, address)
      await inspector.asked.reach(1)
      await station.close(socket)
      assert.equal(await one.fate(), REFUSED[carrier])
      await turns()
      assert.equal(inspector.aborted.all.length, 0)
    },
  )

  overEach(
    'WSK-CA-22 a decision that takes too long is a drop',
    async (station, { carrier }) => {
      const { inspector, address, complete } = await inspecting(station)
      inspector.answer = pend
      const one = await knock(station, address)
      const [id] = await inspector.asked.reach(1)
      assert.deepEqual(await inspector.aborted.reach(1), [id])
      assert.equal(await one.fate(), REFUSED[carrier])
      assert.equal((await complete(id, wsk.WskInspectAccept)).status, wsk.STATUS_CONNECTION_ABORTED)
    },
    { inspectTimeoutMs: 20 },
  )

  overEach(
    'WSK-CA-24 WSK-CA-25 inspected in order of arrival, delivered in order of establishment, and without a taker they wait',
    async (station) => {
      const { inspector, socket, address, complete } = await inspecting(station)
      inspector.answer = pend
      await knock(station, address)
      const [first] = await inspector.asked.reach(1)
      await knock(station, address)
      const [second] = await inspector.asked.reach(2)
      assert.ok(first.serialNumber < second.serialNumber)
      await complete(second, wsk.WskInspectAccept)
      await turns()
      await complete(first, wsk.WskInspectAccept)
      await turns()
      assert.equal(inspector.accepted.all.length, 0)
      assert.deepEqual(idOf(await station.accept(socket)), second)
      events(socket, wsk.WSK_EVENT_ACCEPT)
      const [last] = await inspector.accepted.reach(1)
      station.keep(last)
      assert.deepEqual(idOf(last), first)
    },
  )

  test('WSK-CA-26 what cannot judge before it connects says that it emulates, or refuses the option', async (t) => {
    const station = new Station(t, 'tcpip', { conditionalAccept: 'none' })
    assert.deepEqual(station.wsk.conditionalAccept, { san: 'native', tcpip: 'none' })
    const socket = await station.socket(wsk.WSK_FLAG_LISTEN_SOCKET)
    await assert.rejects(station.set(socket, wsk.SO_CONDITIONAL_ACCEPT, 1), {
      status: wsk.STATUS_NOT_SUPPORTED,
    })
    const other = new Station(t, 'tcpip')
    assert.equal(other.wsk.conditionalAccept.tcpip, 'emulated')
    const stream = await other.socket(wsk.WSK_FLAG_STREAM_SOCKET)
    await assert.rejects(other.set(stream, wsk.SO_CONDITIONAL_ACCEPT, 1), {
      status: wsk.STATUS_INVALID_DEVICE_REQUEST,
    })
  })

  overEach('WSK-INSP-13 WSK-CA-21 a dead listener is told of once, to each callback', async (station) => {
    const { inspector, socket } = await inspecting(station)
    events(socket, wsk.WSK_EVENT_ACCEPT)
    station.wsk.transports.remove(wsk.TCP_TRANSPORT)
    await inspector.dead.reach(1)
    await turns()
    assert.equal(inspector.dead.all.length, 1)
    const late = await outcomeOf<0>((irp) =>
      socket.dispatch.WskInspectComplete(socket, { key: 0n, serialNumber: 1 }, wsk.WskInspectAccept, irp),
    )
    assert.equal(late.status, wsk.STATUS_FILE_FORCED_CLOSED)
  })
})
