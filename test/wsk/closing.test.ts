import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import * as wsk from '../../src/faces/wsk/index.ts'
import type { SocketCore } from '../../src/faces/wsk/socket.ts'
import { Calls, Station, begin, events, outcomeOf, overEach, turns } from './station.ts'
import type { Carrier, Outcome } from './station.ts'

const room = (bytes: number): wsk.WskBuf => wsk.wskBuf(Buffer.alloc(bytes))

interface Everything {
  readonly sockets: readonly wsk.WskAnySocket[]
  readonly waiting: readonly Promise<Outcome>[]
}

/** Sockets with one of every request that can wait. */
async function everything(station: Station, carrier: Carrier): Promise<Everything> {
  const { socket: listener } = await station.listener()
  const [near, far] = await station.pair()
  const datagram = await station.socket(wsk.WSK_FLAG_DATAGRAM_SOCKET)
  await station.bind(datagram)
  const waiting = [
    begin<wsk.WskConnectionSocket>((irp) =>
      listener.dispatch.WskAccept(listener, 0, null, null, null, null, irp),
    ),
    begin<number>((irp) => near.dispatch.WskReceive(near, room(4), 0, irp)),
    begin<number>((irp) => near.dispatch.WskReceive(near, room(4), wsk.WSK_FLAG_WAITALL, irp)),
    begin<number>((irp) => near.dispatch.WskSend(near, room(64 << 20), 0, irp)),
    begin<0>((irp) => near.dispatch.WskDisconnect(near, null, 0, irp)),
    begin<number>((irp) => far.dispatch.WskReceive(far, room(0), wsk.WSK_FLAG_DRAIN, irp)),
    begin<number>((irp) => datagram.dispatch.WskReceiveFrom(datagram, room(4), 0, null, null, null, irp)),
    begin<number>((irp) =>
      listener.dispatch.WskControlSocket(
        listener,
        wsk.WskIoctl,
        wsk.SIO_ADDRESS_LIST_CHANGE,
        0,
        null,
        null,
        irp,
      ),
    ),
  ]
  const pended = await station.listener({
    conditional: true,
    dispatch: { WskInspectEvent: () => wsk.WskInspectPend },
  })
  // Over TCP/IP the kernel has connected it by then.
  const connecting = await station.socket(wsk.WSK_FLAG_CONNECTION_SOCKET)
  await station.bind(connecting)
  const connect = begin<0>((irp) => connecting.dispatch.WskConnect(connecting, pended.address, 0, irp))
  if (carrier !== 'tcpip') waiting.push(connect)
  // A drain lets the other side go on for ever; it is the far side that closes last.
  return {
    sockets: [listener, near, datagram, pended.socket, connecting, far],
    waiting: waiting.map(({ outcome }) => outcome),
  }
}

function closeAll(sockets: readonly wsk.WskAnySocket[], order: string[]): readonly Promise<Outcome>[] {
  return sockets.map((socket) => {
    const closing = outcomeOf<0>((irp) => socket.dispatch.WskCloseSocket(socket, irp))
    return closing.then((outcome) => {
      order.push('close')
      return outcome
    })
  })
}

describe('WSK closing', () => {
  for (const from of ['the program', 'a completion', 'a callback'] as const) {
    overEach(
      `C7 WSK-CLOSE-2 WSK-CLOSE-5 WSK-ORDER-1 WSK-ORDER-2 everything that waits ends before the close does, from ${from}`,
      async (station, { carrier }) => {
        const { sockets, waiting } = await everything(station, carrier)
        const order: string[] = []
        for (const one of waiting) void one.then(() => order.push('request'))
        let closing: readonly Promise<Outcome>[] = []
        const close = (): void => {
          closing = closeAll(sockets, order)
        }
        if (from === 'the program') close()
        else if (from === 'a completion') {
          const other = await station.socket(wsk.WSK_FLAG_CONNECTION_SOCKET)
          await outcomeOf<0>((irp) => {
            irp.setCompletionRoutine(() => {
              close()
              return wsk.STATUS_SUCCESS
            })
            return other.dispatch.WskBind(other, wsk.sockAddr('127.0.0.1', 0), 0, irp)
          })
        } else {
          const inside = new Calls<[]>()
          const [near, far] = await station.pair(
            {},
            {
              dispatch: {
                WskReceiveEvent() {
                  close()
                  inside.note()
                  return wsk.STATUS_SUCCESS
                },
              },
            },
          )
          events(far, wsk.WSK_EVENT_RECEIVE)
          await station.send(near, 'x')
          await inside.reach(1)
        }
        for (const outcome of closing) {
          const { status, information } = await outcome
          assert.deepEqual([status, information], [wsk.STATUS_SUCCESS, 0])
        }
        const statuses = (await Promise.all(waiting)).map(({ status }) => wsk.statusName(status))
        for (const status of statuses)
          assert.match(status, /CANCELLED|CONNECTION_RESET|CONNECTION_REFUSED|SUCCESS/)
        assert.equal(statuses[0], 'STATUS_CANCELLED')
        for (const socket of sockets) assert.equal((socket as unknown as { state: string }).state, 'closed')
      },
    )
  }

  overEach(
    'WSK-CLOSE-3 WSK-ORDER-4 after close every function says that there is no such socket',
    async (station) => {
      const [near] = await station.pair()
      await station.close(near)
      const its = near.dispatch
      for (const call of [
        (irp: wsk.Irp) => its.WskSend(near, room(1), 0, irp),
        (irp: wsk.Irp) => its.WskReceive(near, room(1), 0, irp),
        (irp: wsk.Irp) => its.WskGetLocalAddress(near, wsk.out(), irp),
        (irp: wsk.Irp) => its.WskCloseSocket(near, irp),
      ]) {
        assert.equal((await outcomeOf(call)).status, wsk.STATUS_INVALID_HANDLE)
      }
      assert.equal(events(near, wsk.WSK_EVENT_RECEIVE), wsk.STATUS_INVALID_HANDLE)
    },
  )

  overEach(
    'WSK-CLOSE-4 closing what has not ended in both directions resets it; what has, ends',
    async (station) => {
      const read = async (socket: wsk.WskConnectionSocket): Promise<string> => {
        const { status, information } = await outcomeOf<number>((irp) =>
          socket.dispatch.WskReceive(socket, room(1), 0, irp),
        )
        return `${wsk.statusName(status)} ${String(information)}`
      }
      const [one, other] = await station.pair()
      await station.close(one)
      assert.equal(await read(other), 'STATUS_CONNECTION_RESET 0')
      const [near, far] = await station.pair()
      await station.disconnect(near)
      assert.equal(await read(far), 'STATUS_SUCCESS 0')
      await station.disconnect(far)
      assert.equal(await read(near), 'STATUS_SUCCESS 0')
      await station.close(near)
      await turns()
      assert.equal(await read(far), 'STATUS_SUCCESS 0')
    },
  )

  overEach(
    'WSK-CLOSE-6 WSK-IND-5 WSK-ORDER-5 a close with lists retained warns, and loses nothing else',
    async (station) => {
      const warned = new Promise<Error>((resolve) => {
        const heard = (warning: Error): void => {
          if (warning.name !== 'WskWarning') return
          process.off('warning', heard)
          resolve(warning)
        }
        process.on('warning', heard)
      })
      const told = new Calls<[]>()
      const [near, far] = await station.pair(
        {},
        {
          dispatch: {
            WskReceiveEvent() {
              told.note()
              return wsk.STATUS_PENDING
            },
          },
        },
      )
      events(far, wsk.WSK_EVENT_RECEIVE)
      await station.send(near, 'kept')
      await told.reach(1)
      await station.close(far)
      assert.match((await warned).message, /retained/)
    },
  )

  overEach(
    'WSK-ORDER-7 a listener that closes leaves its accepted sockets alone, and resets those that wait',
    async (station) => {
      const { socket, address } = await station.listener()
      const near = await station.connect(address)
      const far = await station.accept(socket)
      const waiting = await station.connect(address)
      await turns()
      await station.close(socket)
      const { status } = await outcomeOf<number>((irp) =>
        waiting.dispatch.WskReceive(waiting, room(1), 0, irp),
      )
      assert.equal(wsk.statusName(status), 'STATUS_CONNECTION_RESET')
      await station.send(near, 'alive')
      assert.equal((await station.receive(far, 5)).toString(), 'alive')
    },
  )

  overEach(
    'a process that ends tells the peers of its SAN connections, as the kernel those of TCP/IP',
    async (station, { carrier }) => {
      const [near, far] = await station.pair()
      const [other, unread] = await station.pair()
      await station.send(near, 'last words')
      await station.send(other, 'nobody reads this')
      await station.arrived(unread, 17)
      // Each of these leaves alone: the whole process would take the other ends with it.
      for (const leaving of [near, unread]) (leaving as unknown as SocketCore).farewell()
      if (carrier === 'tcpip') {
        // The kernel does it, once the process is gone.
        await station.send(near, ', and more')
        assert.equal((await station.receive(far, 20)).toString(), 'last words, and more')
        return
      }
      assert.equal((await station.receive(far, 100)).toString(), 'last words')
      const { status } = await outcomeOf<number>((irp) =>
        other.dispatch.WskReceive(other, wsk.wskBuf(Buffer.alloc(1)), 0, irp),
      )
      assert.equal(wsk.statusName(status), 'STATUS_CONNECTION_RESET')
    },
  )

  for (const carrier of ['loopback', 'shm'] as const) {
    test(`a process that ends takes leave of the peers of all its sockets [${carrier}]`, async (t) => {
      const staying = new Station(t, carrier)
      const leaving = new Station(t, carrier, { switch: staying.switch })
      const { socket, address } = await staying.listener()
      const ends: (readonly [wsk.WskConnectionSocket, wsk.WskConnectionSocket])[] = []
      for (let i = 0; i < 2; i++) {
        const near = await leaving.connect(address)
        ends.push([near, await staying.accept(socket)])
        await leaving.send(near, 'last words')
      }
      leaving.wsk.farewell()
      for (const [near, far] of ends) {
        assert.equal((await staying.receive(far, 100)).toString(), 'last words')
        const { status } = await outcomeOf<number>((irp) => near.dispatch.WskSend(near, room(1), 0, irp))
        assert.notEqual(status, wsk.STATUS_SUCCESS)
      }
      // Who stays is still served.
      assert.equal(staying.wsk.listeners().length, 1)
    })
  }

  overEach('WSK-ORDER-3 once close was called no callback starts', async (station) => {
    const told = new Calls<[]>()
    const [near, far] = await station.pair(
      {},
      {
        dispatch: {
          WskReceiveEvent() {
            told.note()
            return wsk.STATUS_SUCCESS
          },
          WskDisconnectEvent() {
            told.note()
            return wsk.STATUS_SUCCESS
          },
        },
      },
    )
    events(far, wsk.WSK_EVENT_RECEIVE | wsk.WSK_EVENT_DISCONNECT)
    await turns()
    const sending = outcomeOf<number>((irp) => near.dispatch.WskSend(near, room(100_000), 0, irp))
    const closing = outcomeOf<0>((irp) => far.dispatch.WskCloseSocket(far, irp))
    await Promise.all([sending, closing])
    await turns()
    assert.equal(told.all.length, 0)
  })

  overEach(
    'C10 WSK-EVT-6 WSK-FLOW-27 WSK-ORDER-10 WSK-XPORT-2 WSK-ACCEPT-10 a transport goes away: sockets are dead, told once, and closed',
    async (station) => {
      const told: string[] = []
      const dead = new Calls<[string]>()
      const note = (what: string): wsk.NtStatus => {
        told.push(what)
        dead.note(what)
        return wsk.STATUS_SUCCESS
      }
      const listener = await station.listener({
        dispatch: {
          WskAcceptEvent: (_context, _flags, _local, _remote, socket) =>
            socket === null ? note('accept') : wsk.STATUS_REQUEST_NOT_ACCEPTED,
        },
      })
      events(listener.socket, wsk.WSK_EVENT_ACCEPT)
      const [near, far] = await station.pair(
        {
          dispatch: { WskReceiveEvent: (_context, _flags, list) => note(list === null ? 'receive' : 'data') },
        },
        {},
      )
      events(near, wsk.WSK_EVENT_RECEIVE)
      const waiting = begin<number>((irp) => far.dispatch.WskReceive(far, room(1), 0, irp))
      const { client, dispatch } = station.npi
      const change = begin<number>((irp) =>
        dispatch.WskControlClient(client, wsk.WSK_TRANSPORT_LIST_CHANGE, null, null, irp),
      )
      station.wsk.transports.remove(wsk.TCP_TRANSPORT)
      assert.equal((await change.outcome).status, wsk.STATUS_SUCCESS)
      assert.equal(wsk.statusName((await waiting.outcome).status), 'STATUS_FILE_FORCED_CLOSED')
      await dead.reach(2)
      await turns()
      assert.deepEqual(told.sort(), ['accept', 'receive'])
      for (const call of [
        (irp: wsk.Irp<number>) => near.dispatch.WskSend(near, room(1), 0, irp),
        (irp: wsk.Irp<number>) => near.dispatch.WskReceive(near, room(1), 0, irp),
      ]) {
        assert.equal((await outcomeOf(call)).status, wsk.STATUS_FILE_FORCED_CLOSED)
      }
      const made = await outcomeOf<wsk.WskBasicSocket>((irp) =>
        dispatch.WskSocket(client, wsk.AF_INET, 1, 6, 0, null, null, null, null, null, irp),
      )
      assert.equal(made.status, wsk.STATUS_NOT_SUPPORTED)
      await station.close(near)
    },
  )

  test('a process that ends resets what it has not taken, shown to it or not', async (t) => {
    const staying = new Station(t, 'loopback')
    const leaving = new Station(t, 'loopback', { switch: staying.switch })
    const { socket: listener, address } = await staying.listener()
    const join = async (
      dispatch: wsk.WskClientConnectionDispatch | null = null,
    ): Promise<readonly [near: wsk.WskConnectionSocket, far: wsk.WskConnectionSocket]> => {
      return Promise.all([leaving.connect(address, { dispatch }), staying.accept(listener)])
    }
    const shown = new Calls<[]>()
    const [, unread] = await join()
    const [refusing, refused] = await join({
      WskReceiveEvent() {
        shown.note()
        return wsk.STATUS_DATA_NOT_ACCEPTED
      },
    })
    events(refusing, wsk.WSK_EVENT_RECEIVE)
    for (const far of [unread, refused]) await staying.send(far, 'not taken')
    await shown.reach(1)
    leaving.wsk.farewell()
    for (const far of [unread, refused]) {
      await assert.rejects(staying.receive(far, 100), { status: wsk.STATUS_CONNECTION_RESET })
    }
  })

  test('WSK-EVT-2 WSK-EVT-3 what a callback throws is heard of, and counts as a refusal', async (t) => {
    const heard: unknown[] = []
    const station = new Station(t, 'tcpip', { onError: (error) => heard.push(error) })
    const broken = new Error('a callback that throws')
    const [near, far] = await station.pair(
      {},
      {
        dispatch: {
          WskReceiveEvent() {
            throw broken
          },
        },
      },
    )
    events(far, wsk.WSK_EVENT_RECEIVE)
    await station.send(near, 'refused')
    while (heard.length === 0) await turns(1)
    assert.deepEqual(heard, [broken])
    assert.equal((await station.receive(far, 7)).toString(), 'refused')
  })
})
