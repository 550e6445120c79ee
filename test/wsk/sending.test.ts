import assert from 'node:assert/strict'
import { describe } from 'node:test'

import * as wsk from '../../src/faces/wsk/index.ts'
import { Calls, begin, events, outcomeOf, overEach, turns } from './station.ts'

const room = (bytes: number): wsk.WskBuf => wsk.wskBuf(Buffer.alloc(bytes))

describe('WSK connecting and sending', () => {
  overEach(
    'WSK-CONN-3 WSK-CONN-1 a connect that nobody answers is refused, and is not tried again',
    async (station) => {
      const { socket: listener, address } = await station.listener()
      await station.close(listener)
      const socket = await station.socket(wsk.WSK_FLAG_CONNECTION_SOCKET)
      await station.bind(socket)
      const connect = (): ReturnType<typeof outcomeOf> =>
        outcomeOf<0>((irp) => socket.dispatch.WskConnect(socket, address, 0, irp))
      assert.equal(wsk.statusName((await connect()).status), 'STATUS_CONNECTION_REFUSED')
      assert.equal(wsk.statusName((await connect()).status), 'STATUS_INVALID_DEVICE_STATE')
    },
  )

  overEach('WSK-CONN-4 WskConnectEx sends up to 65,535 bytes along', async (station) => {
    const { socket: listener, address } = await station.listener()
    const bytes = Buffer.alloc(wsk.MAX_CONNECT_BYTES, 'along ')
    const open = async (): Promise<wsk.WskConnectionSocket> => {
      const socket = await station.socket(wsk.WSK_FLAG_CONNECTION_SOCKET)
      await station.bind(socket)
      return socket
    }
    const socket = await open()
    const accepting = station.accept(listener)
    const sent = await station.call<number>((irp) =>
      socket.dispatch.WskConnectEx(socket, address, wsk.wskBuf(bytes), 0, irp),
    )
    assert.equal(sent, bytes.length)
    assert.ok((await station.receive(await accepting, bytes.length)).equals(bytes))
    const other = await open()
    const long = await outcomeOf<number>((irp) =>
      other.dispatch.WskConnectEx(other, address, room(bytes.length + 1), 0, irp),
    )
    assert.equal(long.status, wsk.STATUS_BUFFER_OVERFLOW)
    const flags = await outcomeOf<number>((irp) =>
      other.dispatch.WskConnectEx(other, address, null, 1 as 0, irp),
    )
    assert.equal(flags.status, wsk.STATUS_INVALID_PARAMETER)
  })

  overEach('WSK-CONN-6 a connect that hangs is cancelled, or ended by the close', async (station) => {
    // Nobody answers there: reserved for documentation.
    const nowhere = wsk.sockAddr('203.0.113.1', 9)
    for (const end of ['cancel', 'close'] as const) {
      const socket = await station.socket(wsk.WSK_FLAG_CONNECTION_SOCKET)
      await station.bind(socket, wsk.sockAddr('0.0.0.0', 0))
      const connecting = begin<0>((irp) => socket.dispatch.WskConnect(socket, nowhere, 0, irp))
      if (connecting.irp.state === 'pending') {
        if (end === 'cancel') connecting.irp.cancel()
        else void station.close(socket)
      }
      const { status } = await connecting.outcome
      // A host without a route to anywhere answers by itself.
      assert.match(wsk.statusName(status), /CANCELLED|UNREACHABLE/)
    }
  })

  overEach('WSK-SOCK-8 WskSocketConnect makes a connected socket, or none', async (station) => {
    const { socket: listener, address } = await station.listener()
    const { client, dispatch } = station.npi
    const local = wsk.sockAddr('127.0.0.1', 0)
    const connect = (remote: wsk.SockAddr): ReturnType<typeof outcomeOf> =>
      outcomeOf<wsk.WskConnectionSocket>((irp) =>
        dispatch.WskSocketConnect(client, 1, 6, local, remote, 0, null, null, null, null, null, irp),
      )
    const { status, information } = await connect(address)
    assert.equal(status, wsk.STATUS_SUCCESS)
    const near = information as wsk.WskConnectionSocket
    station.keep(near)
    const far = await station.accept(listener)
    await station.send(near, 'in one go')
    assert.equal((await station.receive(far, 9)).toString(), 'in one go')
    await station.close(listener)
    const failed = await connect(address)
    assert.deepEqual([wsk.statusName(failed.status), failed.information], ['STATUS_CONNECTION_REFUSED', 0])
  })

  overEach(
    'WSK-SEND-2 WSK-SEND-3 WSK-SEND-5 sends are over when they were really sent, in order, and say how much',
    async (station) => {
      const [near, far] = await station.pair()
      const pieces = Array.from({ length: 40 }, (_, at) => Buffer.alloc(500_000 + at, at + 1))
      const order: number[] = []
      const sending = pieces.map(async (piece, at) => {
        assert.equal(await station.send(near, piece), piece.length)
        order.push(at)
      })
      await turns()
      // Nobody reads: they cannot all be through.
      assert.ok(order.length < pieces.length)
      const whole = Buffer.concat(pieces)
      const back = await station.receive(far, whole.length)
      assert.ok(back.equals(whole))
      await Promise.all(sending)
      assert.deepEqual(order, [...pieces.keys()])
    },
  )

  overEach(
    'WSK-SEND-4 a flag says that nothing is to be waited for; another is not supported',
    async (station) => {
      const [near, far] = await station.pair()
      for (const flags of [0, wsk.WSK_FLAG_NODELAY, 0] as const) {
        await station.call<number>((irp) =>
          near.dispatch.WskSend(near, wsk.wskBuf(Buffer.from('ab')), flags, irp),
        )
        assert.equal((await station.receive(far, 2)).toString(), 'ab')
      }
      const { status } = await outcomeOf<number>((irp) =>
        near.dispatch.WskSend(near, room(1), wsk.WSK_FLAG_OOB as 0, irp),
      )
      assert.equal(status, wsk.STATUS_NOT_SUPPORTED)
    },
  )

  overEach(
    'WSK-BKLG-1 WSK-BKLG-2 the ideal send backlog can be asked for, and a change of it is told',
    async (station) => {
      const told = new Calls<[size: number]>()
      const [near, far] = await station.pair({
        dispatch: {
          WskSendBacklogEvent(_context, size) {
            told.note(size)
            return wsk.STATUS_SUCCESS
          },
        },
      })
      const ideal = async (): Promise<number> => {
        const size = wsk.out<number>()
        await station.call<number>((irp) =>
          near.dispatch.WskControlSocket(
            near,
            wsk.WskIoctl,
            wsk.SIO_WSK_QUERY_IDEAL_SEND_BACKLOG,
            0,
            null,
            size,
            irp,
          ),
        )
        return size.value ?? 0
      }
      const first = await ideal()
      assert.ok(first > 0 && first <= 16 << 20)
      assert.equal(events(near, wsk.WSK_EVENT_SEND_BACKLOG), wsk.STATUS_SUCCESS)
      const bytes = Buffer.alloc(16 << 20)
      const sending = station.send(near, bytes)
      const [size] = await told.reach(1)
      assert.ok(size > first)
      assert.equal(await ideal(), told.all.at(-1)![0])
      await station.receive(far, bytes.length)
      await sending
    },
  )

  overEach(
    'WSK-DISC-2 WSK-DISC-7 WSK-ORDER-8 a graceful end goes after everything, with last words; the peer may go on',
    async (station) => {
      const [near, far] = await station.pair()
      const sending = station.send(near, 'words, ')
      const last = wsk.wskBuf(Buffer.from('last words'))
      const ending = outcomeOf<0>((irp) => near.dispatch.WskDisconnect(near, last, 0, irp))
      await sending
      assert.equal((await ending).status, wsk.STATUS_SUCCESS)
      assert.equal((await station.receive(far, 100)).toString(), 'words, last words')
      // A second end joins the first; words after it come too late.
      await station.disconnect(near)
      const late = await outcomeOf<0>((irp) => near.dispatch.WskDisconnect(near, last, 0, irp))
      assert.equal(late.status, wsk.STATUS_INVALID_DEVICE_STATE)
      await station.send(far, 'the peer goes on')
      await station.disconnect(far)
      assert.equal((await station.receive(near, 100)).toString(), 'the peer goes on')
    },
  )

  overEach(
    'C8 WSK-DISC-4 WSK-DISC-5 WSK-ORDER-6 WSK-ORDER-9 a graceful end that hangs is forced by an abort, or by the close',
    async (station, { carrier }) => {
      for (const force of ['abort', 'close'] as const) {
        const [near, far] = await station.pair()
        const sending = begin<number>((irp) => near.dispatch.WskSend(near, room(64 << 20), 0, irp))
        const ending = begin<0>((irp) => near.dispatch.WskDisconnect(near, null, 0, irp))
        await turns()
        assert.deepEqual([sending.irp.state, ending.irp.state], ['pending', 'pending'])
        if (force === 'abort') await station.disconnect(near, wsk.WSK_FLAG_ABORTIVE)
        else await station.close(near)
        assert.equal(wsk.statusName((await sending.outcome).status), 'STATUS_CANCELLED')
        assert.equal(wsk.statusName((await ending.outcome).status), 'STATUS_CANCELLED')
        let bytes = 0
        const read = async (): Promise<wsk.NtStatus> => {
          for (;;) {
            const { status, information } = await outcomeOf<number>((irp) =>
              far.dispatch.WskReceive(far, room(1 << 20), 0, irp),
            )
            if (status !== wsk.STATUS_SUCCESS || information === 0) return status
            bytes += information as number
          }
        }
        // libuv takes the hang-up that follows a short read for an end, whoever hung up.
        const ends = carrier === 'tcpip' ? /CONNECTION_RESET|SUCCESS/ : /CONNECTION_RESET/
        assert.match(wsk.statusName(await read()), ends)
        assert.ok(bytes < 64 << 20)
        const { status } = await outcomeOf<number>((irp) => far.dispatch.WskSend(far, room(1 << 20), 0, irp))
        assert.match(wsk.statusName(status), /CONNECTION_RESET|DISCONNECTED/)
      }
    },
  )

  overEach('WSK-DISC-5 an abort takes no last words', async (station) => {
    const [near] = await station.pair()
    const { status } = await outcomeOf<0>((irp) =>
      near.dispatch.WskDisconnect(near, room(1), wsk.WSK_FLAG_ABORTIVE, irp),
    )
    assert.equal(status, wsk.STATUS_INVALID_PARAMETER)
    await station.disconnect(near, wsk.WSK_FLAG_ABORTIVE)
    const { status: sent } = await outcomeOf<number>((irp) => near.dispatch.WskSend(near, room(1), 0, irp))
    assert.equal(wsk.statusName(sent), 'STATUS_CONNECTION_ABORTED')
  })
})
