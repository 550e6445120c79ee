import assert from 'node:assert/strict'
import { networkInterfaces } from 'node:os'
import { describe, test } from 'node:test'

import * as wsk from '../../src/faces/wsk/index.ts'
import type { SharingMode, SharingVerdict } from '../../src/faces/wsk/sharing.ts'
import { Station, begin, outcomeOf, overEach } from './station.ts'

const LOCAL = wsk.sockAddr('127.0.0.1', 0)

async function create(
  station: Station,
  family: number,
  type: number,
  protocol: number,
  flags: wsk.CategoryFlag,
) {
  const { client, dispatch } = station.npi
  const made = await begin<wsk.WskAnySocket>((irp) =>
    dispatch.WskSocket(client, family, type, protocol, flags, null, null, null, null, null, irp),
  ).outcome
  if (made.status === wsk.STATUS_SUCCESS) station.keep(made.information as wsk.WskAnySocket)
  return made
}

/** Who may bind second, row, after whom, column in the same order: Windows' table, written down once more. */
const SHARED: Readonly<Record<string, readonly SharingVerdict[]>> = {
  'default W': ['USE', 'OK', 'USE', 'OK', 'USE', 'OK'],
  'default S': ['CHK', 'USE', 'CHK', 'DENY', 'DENY', 'USE'],
  'reuse W': ['DENY', 'OK', 'OK', 'OK', 'DENY', 'OK'],
  'reuse S': ['CHK', 'DENY', 'OK', 'OK', 'DENY', 'DENY'],
  'exclusive W': ['USE', 'USE', 'USE', 'USE', 'USE', 'USE'],
  'exclusive S': ['CHK', 'USE', 'CHK', 'USE', 'DENY', 'USE'],
}

describe('WSK sockets', () => {
  test('WSK-OBJ-1 to -5 WSK-OBJ-8 WSK-SOCK-1 WSK-SOCK-5 the category decides which functions a socket has', async (t) => {
    const station = new Station(t, 'tcpip')
    const basic = ['WskControlSocket', 'WskCloseSocket']
    const stream = [
      ...basic,
      'WskBind',
      'WskConnect',
      'WskConnectEx',
      'WskGetLocalAddress',
      'WskGetRemoteAddress',
      'WskSend',
      'WskReceive',
      'WskDisconnect',
      'WskRelease',
    ]
    for (const [flags, category, names] of [
      [wsk.WSK_FLAG_BASIC_SOCKET, 'basic', basic],
      [
        wsk.WSK_FLAG_LISTEN_SOCKET,
        'listen',
        [...basic, 'WskBind', 'WskAccept', 'WskInspectComplete', 'WskGetLocalAddress'],
      ],
      [
        wsk.WSK_FLAG_DATAGRAM_SOCKET,
        'datagram',
        [
          ...basic,
          'WskBind',
          'WskSendTo',
          'WskReceiveFrom',
          'WskRelease',
          'WskGetLocalAddress',
          'WskSendMessages',
        ],
      ],
      [wsk.WSK_FLAG_CONNECTION_SOCKET, 'connection', stream],
      [wsk.WSK_FLAG_STREAM_SOCKET, 'stream', [...stream, 'WskListen', 'WskAccept']],
    ] as const) {
      const socket = await station.socket(flags)
      assert.equal(socket.category, category)
      assert.deepEqual(Object.keys(socket.dispatch).sort(), [...names].sort())
      assert.ok(Object.isFrozen(socket.dispatch))
      // Whatever it is, it can be handled through the basic table.
      const { dispatch }: { dispatch: wsk.WskProviderBasicDispatch } = socket
      assert.equal(typeof dispatch.WskCloseSocket, 'function')
    }
  })

  test('WSK-SOCK-2 to -4 family, type and protocol have to fit each other', async (t) => {
    const station = new Station(t, 'tcpip')
    for (const [family, type, protocol, flags, status] of [
      [wsk.AF_INET, wsk.SOCK_STREAM, wsk.IPPROTO_TCP, 0, wsk.STATUS_SUCCESS],
      [wsk.AF_INET6, wsk.SOCK_DGRAM, wsk.IPPROTO_UDP, 0, wsk.STATUS_SUCCESS],
      [wsk.AF_INET, wsk.SOCK_STREAM, wsk.IPPROTO_UDP, 2, wsk.STATUS_NOT_SUPPORTED],
      [wsk.AF_INET, wsk.SOCK_DGRAM, wsk.IPPROTO_UDP, 2, wsk.STATUS_NOT_SUPPORTED],
      [wsk.AF_INET, wsk.SOCK_DGRAM, wsk.IPPROTO_UDP, 8, wsk.STATUS_NOT_SUPPORTED],
      [wsk.AF_INET, wsk.SOCK_STREAM, wsk.IPPROTO_TCP, 4, wsk.STATUS_NOT_SUPPORTED],
      [wsk.AF_INET, wsk.SOCK_RAW, 1, 4, wsk.STATUS_NOT_SUPPORTED],
      [99, wsk.SOCK_STREAM, wsk.IPPROTO_TCP, 2, wsk.STATUS_NOT_SUPPORTED],
      [wsk.AF_INET, wsk.SOCK_STREAM, wsk.IPPROTO_TCP, 3 as 1, wsk.STATUS_INVALID_PARAMETER],
    ] as const) {
      const made = await create(station, family, type, protocol, flags)
      assert.equal(
        wsk.statusName(made.status),
        wsk.statusName(status),
        `${family} ${type} ${protocol} ${flags}`,
      )
    }
    // A datagram transport that is to listen is found out at bind.
    const made = await create(
      station,
      wsk.AF_INET,
      wsk.SOCK_DGRAM,
      wsk.IPPROTO_UDP,
      wsk.WSK_FLAG_LISTEN_SOCKET,
    )
    const socket = made.information as wsk.WskListenSocket
    const bound = await outcomeOf<0>((irp) => socket.dispatch.WskBind(socket, LOCAL, 0, irp))
    assert.equal(bound.status, wsk.STATUS_NOT_IMPLEMENTED)
  })

  test('WSK-OBJ-9 WSK-OBJ-10 a basic socket has no context and no callbacks; the others may have none', async (t) => {
    const station = new Station(t, 'tcpip')
    const { client, dispatch } = station.npi
    const made = await begin<wsk.WskBasicSocket>((irp) =>
      dispatch.WskSocket(client, wsk.AF_INET, 1, 6, 0, 'a context', null, null, null, null, irp),
    ).outcome
    assert.equal(made.status, wsk.STATUS_INVALID_PARAMETER)
    const [near, far] = await station.pair()
    await station.send(near, 'x')
    assert.equal((await station.receive(far, 1)).toString(), 'x')
  })

  test('WSK-BIND-1 WSK-BIND-7 WSK-ACCEPT-7 a socket is bound once, to an address of its family, without flags', async (t) => {
    const station = new Station(t, 'tcpip')
    for (const flags of [1, 2, 4, 8] as const) {
      const socket = (await station.socket(flags)) as wsk.WskConnectionSocket
      const bind = (address: wsk.SockAddr, odd = 0): Promise<{ readonly status: wsk.NtStatus }> =>
        outcomeOf<0>((irp) => socket.dispatch.WskBind(socket, address, odd as 0, irp))
      assert.equal((await bind(wsk.sockAddr('::1', 0))).status, wsk.STATUS_INVALID_PARAMETER)
      assert.equal((await bind(LOCAL, 1)).status, wsk.STATUS_INVALID_PARAMETER)
      assert.equal((await bind({ ...LOCAL, address: 'localhost' })).status, wsk.STATUS_INVALID_PARAMETER)
      const elsewhere = (await bind(wsk.sockAddr('203.0.113.9', 0))).status
      assert.equal(wsk.statusName(elsewhere), 'STATUS_INVALID_ADDRESS_COMPONENT')
      assert.equal((await bind(LOCAL)).status, wsk.STATUS_SUCCESS)
      assert.equal((await bind(LOCAL)).status, wsk.STATUS_INVALID_DEVICE_STATE)
    }
  })

  overEach(
    'WSK-BIND-3 WSK-BIND-5 WSK-BIND-6 WSK-BIND-8 a port is there from bind on, the address from connect on',
    async (station) => {
      const server = await station.socket(wsk.WSK_FLAG_LISTEN_SOCKET)
      const { address } = await station.bind(server, wsk.sockAddr('0.0.0.0', 0))
      assert.equal(address.address, '0.0.0.0')
      assert.notEqual(address.port, 0)
      const client = await station.socket(wsk.WSK_FLAG_STREAM_SOCKET)
      const bound = await station.bind(client, wsk.sockAddr('0.0.0.0', 0))
      assert.notEqual(bound.address.port, 0)
      const remote = { ...address, address: '127.0.0.1' }
      await station.call<0>((irp) => client.dispatch.WskConnect(client, remote, 0, irp))
      assert.deepEqual(await station.localAddress(client), { ...remote, port: bound.address.port })
      const accepted = await station.accept(server)
      const peer = wsk.out<wsk.SockAddr>()
      await station.call<0>((irp) => accepted.dispatch.WskGetRemoteAddress(accepted, peer, irp))
      assert.deepEqual(peer.value, { ...remote, port: bound.address.port })
    },
  )

  overEach(
    'WSK-BIND-10 WSK-OBJ-7 an IPv6 listener serves IPv4 peers, as mapped addresses',
    async (station) => {
      const server = await station.socket(wsk.WSK_FLAG_LISTEN_SOCKET, { family: wsk.AF_INET6 })
      await station.set(server, wsk.IPV6_V6ONLY, 0, wsk.IPPROTO_IPV6)
      const { address } = await station.bind(server, wsk.sockAddr('::', 0))
      await station.connect(wsk.sockAddr('127.0.0.1', address.port))
      const accepted = await station.accept(server)
      const peer = wsk.out<wsk.SockAddr>()
      await station.call<0>((irp) => accepted.dispatch.WskGetRemoteAddress(accepted, peer, irp))
      assert.deepEqual([peer.value?.family, peer.value?.address], ['IPv6', '::ffff:127.0.0.1'])
      assert.equal((await station.localAddress(accepted)).address, '::ffff:127.0.0.1')
    },
  )

  overEach(
    'C14 WSK-BIND-9 WSK-CONN-1 WSK-SEND-1 WSK-DISC-1 WSK-DGRAM-1 before its time a function is refused',
    async (station) => {
      const text = wsk.wskBuf(Buffer.from('x'))
      const connection = await station.socket(wsk.WSK_FLAG_CONNECTION_SOCKET)
      const its = connection.dispatch
      const unbound: readonly ((irp: wsk.Irp) => wsk.NtStatus)[] = [
        (irp) => its.WskGetLocalAddress(connection, wsk.out(), irp),
        (irp) => its.WskConnect(connection, LOCAL, 0, irp),
        (irp) => its.WskConnectEx(connection, LOCAL, null, 0, irp),
      ]
      const unconnected: readonly ((irp: wsk.Irp) => wsk.NtStatus)[] = [
        (irp) => its.WskGetRemoteAddress(connection, wsk.out(), irp),
        (irp) => its.WskSend(connection, text, 0, irp),
        (irp) => its.WskReceive(connection, text, 0, irp),
        (irp) => its.WskDisconnect(connection, null, 0, irp),
      ]
      for (const call of [...unbound, ...unconnected]) {
        const { returned, status } = await outcomeOf(call)
        assert.equal(wsk.statusName(status), 'STATUS_INVALID_DEVICE_STATE', call.toString())
        assert.equal(returned, status)
      }
      await station.bind(connection)
      for (const call of unconnected) {
        assert.equal((await outcomeOf(call)).status, wsk.STATUS_INVALID_DEVICE_STATE, call.toString())
      }
      const listener = await station.socket(wsk.WSK_FLAG_LISTEN_SOCKET)
      const accepting = await outcomeOf<wsk.WskConnectionSocket>((irp) =>
        listener.dispatch.WskAccept(listener, 0, null, null, null, null, irp),
      )
      assert.equal(accepting.status, wsk.STATUS_INVALID_DEVICE_STATE)
      const datagram = await station.socket(wsk.WSK_FLAG_DATAGRAM_SOCKET)
      for (const call of [
        (irp: wsk.Irp) => datagram.dispatch.WskSendTo(datagram, text, 0, LOCAL, null, irp),
        (irp: wsk.Irp) => datagram.dispatch.WskReceiveFrom(datagram, text, 0, null, null, null, irp),
        (irp: wsk.Irp) => datagram.dispatch.WskGetLocalAddress(datagram, wsk.out(), irp),
      ]) {
        assert.equal((await outcomeOf(call)).status, wsk.STATUS_INVALID_DEVICE_STATE, call.toString())
      }
      const stream = await station.socket(wsk.WSK_FLAG_STREAM_SOCKET)
      const listening = await outcomeOf<0>((irp) => stream.dispatch.WskListen(stream, irp))
      assert.equal(listening.status, wsk.STATUS_INVALID_DEVICE_STATE)
    },
  )

  overEach(
    'C9 WSK-SHARE-1 WSK-SHARE-2 WSK-SOCK-6 who may bind to an address that is taken: all 36 pairs',
    async (station) => {
      const open = async (mode: SharingMode, shares: boolean): Promise<wsk.WskConnectionSocket> => {
        const socket = await station.socket(wsk.WSK_FLAG_CONNECTION_SOCKET)
        if (mode !== 'default')
          await station.set(socket, mode === 'reuse' ? wsk.SO_REUSEADDR : wsk.SO_EXCLUSIVEADDRUSE, 1)
        if (shares) await station.set(socket, wsk.SO_WSK_SECURITY, { maySharePort: () => true })
        return socket
      }
      let pairs = 0
      for (const [second, verdicts] of Object.entries(SHARED)) {
        for (const [at, first] of Object.keys(SHARED).entries()) {
          const verdict = verdicts[at]
          for (const shares of verdict === 'CHK' ? [true, false] : [false]) {
            const [modeOfFirst, kindOfFirst] = first.split(' ') as [SharingMode, string]
            const [modeOfSecond, kindOfSecond] = second.split(' ') as [SharingMode, string]
            const one = await open(modeOfFirst, shares)
            const bound = await station.bind(
              one,
              wsk.sockAddr(kindOfFirst === 'W' ? '0.0.0.0' : '127.0.0.1', 0),
            )
            const other = await open(modeOfSecond, false)
            const address = wsk.sockAddr(kindOfSecond === 'W' ? '0.0.0.0' : '127.0.0.1', bound.address.port)
            const { status } = await outcomeOf<0>((irp) => other.dispatch.WskBind(other, address, 0, irp))
            const allowed = verdict === 'OK' || (verdict === 'CHK' && shares)
            const expected = allowed
              ? 'STATUS_SUCCESS'
              : verdict === 'USE'
                ? 'STATUS_ADDRESS_ALREADY_EXISTS'
                : 'STATUS_ACCESS_DENIED'
            assert.equal(wsk.statusName(status), expected, `${second} after ${first}`)
            await station.close(one)
            await station.close(other)
          }
          pairs += 1
        }
      }
      assert.equal(pairs, 36)
    },
  )

  test('WSK-SHARE-1 two specific addresses never conflict, and a closed socket gives its address back', async (t) => {
    const station = new Station(t, 'tcpip')
    const one = await station.socket(wsk.WSK_FLAG_CONNECTION_SOCKET)
    const { address } = await station.bind(one)
    const other = await station.socket(wsk.WSK_FLAG_CONNECTION_SOCKET)
    await station.bind(other, { ...address, address: '127.0.0.2' })
    await station.close(one)
    const third = await station.socket(wsk.WSK_FLAG_CONNECTION_SOCKET)
    await station.bind(third, address)
  })

  test('WSK-CTL-1 WSK-CTL-3 WSK-CTL-4 options say when and how they are set, and what is not there says so', async (t) => {
    const station = new Station(t, 'tcpip')
    const { socket } = await station.listener()
    const control = (
      type: wsk.WskControlType,
      code: number,
      input: wsk.ControlInput | null,
      irp: wsk.Irp<number> | null = new wsk.Irp<number>(),
      level: number = wsk.SOL_SOCKET,
    ): string =>
      wsk.statusName(socket.dispatch.WskControlSocket(socket, type, code, level, input, wsk.out(), irp))
    assert.equal(control(wsk.WskSetOption, wsk.SO_KEEPALIVE, 1), 'STATUS_SUCCESS')
    assert.equal(await station.get(socket, wsk.SO_KEEPALIVE), 1)
    assert.equal(control(wsk.WskSetOption, wsk.SO_KEEPALIVE, 7), 'STATUS_INVALID_PARAMETER')
    assert.equal(control(wsk.WskSetOption, wsk.SO_KEEPALIVE, 1, null), 'STATUS_REQUEST_NOT_ACCEPTED')
    assert.equal(control(wsk.WskSetOption, wsk.SO_REUSEADDR, 1), 'STATUS_INVALID_DEVICE_STATE')
    assert.equal(control(wsk.WskSetOption, wsk.SO_CONDITIONAL_ACCEPT, 1), 'STATUS_INVALID_DEVICE_STATE')
    assert.equal(control(wsk.WskSetOption, wsk.SO_BROADCAST, 1), 'STATUS_INVALID_DEVICE_REQUEST')
    assert.equal(control(wsk.WskSetOption, 12_345, 1), 'STATUS_NOT_SUPPORTED')
    for (const code of [wsk.TCP_KEEPIDLE, wsk.TCP_FASTOPEN, wsk.TCP_NODELAY]) {
      assert.equal(control(wsk.WskSetOption, code, 1, new wsk.Irp(), wsk.IPPROTO_TCP), 'STATUS_NOT_SUPPORTED')
    }
    const information = await station.call<number>((irp) =>
      socket.dispatch.WskControlSocket(
        socket,
        wsk.WskGetOption,
        wsk.SO_KEEPALIVE,
        wsk.SOL_SOCKET,
        null,
        wsk.out(),
        irp,
      ),
    )
    assert.equal(information, 4)
  })

  test('WSK-EXT-1 WSK-EXT-2 WSK-EVC-4 WSK-ORDER-18 WSK-ORDER-19 ioctls without meaning here answer that they are not supported', async (t) => {
    const station = new Station(t, 'tcpip')
    const [near] = await station.pair()
    for (const code of [
      wsk.SIO_WSK_REGISTER_EXTENSION,
      wsk.SIO_WSK_SET_TCP_SILENT_MODE,
      wsk.SIO_LOOPBACK_FAST_PATH,
      wsk.SIO_ADDRESS_LIST_SORT,
      wsk.SIO_QUERY_WFP_CONNECTION_REDIRECT_RECORDS,
      wsk.SIO_QUERY_WFP_CONNECTION_REDIRECT_CONTEXT,
      wsk.SIO_SET_WFP_CONNECTION_REDIRECT_RECORDS,
    ]) {
      const status = near.dispatch.WskControlSocket(near, wsk.WskIoctl, code, 0, null, wsk.out(), null)
      assert.equal(status, wsk.STATUS_NOT_SUPPORTED)
    }
    const extension = { npiId: 'an extension', eventMask: 1 }
    const basic = await station.socket(wsk.WSK_FLAG_BASIC_SOCKET)
    for (const socket of [near, basic] as const) {
      const status = socket.dispatch.WskControlSocket(
        socket,
        wsk.WskSetOption,
        wsk.SO_WSK_EVENT_CALLBACK,
        wsk.SOL_SOCKET,
        extension,
        null,
        null,
      )
      assert.equal(status, wsk.STATUS_NOT_SUPPORTED)
    }
  })

  test('the addresses of a family are listed where there is room, and a change of them can be waited for', async (t) => {
    const station = new Station(t, 'tcpip')
    const socket = await station.socket(wsk.WSK_FLAG_BASIC_SOCKET)
    const query = (list: wsk.WskList<wsk.SockAddr>): wsk.NtStatus =>
      socket.dispatch.WskControlSocket(socket, wsk.WskIoctl, wsk.SIO_ADDRESS_LIST_QUERY, 0, null, list, null)
    const probe = new wsk.WskList<wsk.SockAddr>(0)
    assert.equal(query(probe), wsk.STATUS_BUFFER_OVERFLOW)
    const list = new wsk.WskList<wsk.SockAddr>(probe.needed)
    assert.equal(query(list), wsk.STATUS_SUCCESS)
    const expected = Object.values(networkInterfaces())
      .flatMap((entries) => entries ?? [])
      .filter(({ family }) => family === 'IPv4')
      .map(({ address }) => address)
    assert.deepEqual(
      list.items.map(({ address }) => address),
      expected,
    )
    const change = begin<number>((irp) =>
      socket.dispatch.WskControlSocket(socket, wsk.WskIoctl, wsk.SIO_ADDRESS_LIST_CHANGE, 0, null, null, irp),
    )
    assert.equal(change.returned, wsk.STATUS_PENDING)
    change.irp.cancel()
    assert.equal((await change.outcome).status, wsk.STATUS_CANCELLED)
  })
})
