import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, describe, test } from 'node:test'

import { WSA, wsaName } from '../../src/spi/index.ts'
import { EXTENSIONS, IOCTLS, OPTIONS } from '../../src/faces/winsock/index.ts'
import type { IoctlName, IoctlRow, OptionName, OptionRow } from '../../src/faces/winsock/index.ts'
import { CARRIERS, LOCAL, cleanUp, connected, nameOf, program, valueOf } from './pair.ts'

const options = Object.entries(OPTIONS) as [OptionName, OptionRow][]
const ioctls = Object.entries(IOCTLS) as [IoctlName, IoctlRow][]

/** The table as docs/winsock.md shows it. */
function drawn(): string {
  const rows = options.map(([name, row]) => {
    const what = row.get && row.set ? 'get, set' : row.get ? 'get' : row.set ? 'set' : '-'
    return `| \`${name}\` | ${row.handler} | ${what} | ${row.why} |`
  })
  const codes = ioctls.map(
    ([name, row]) => `| \`${name}\` | ${row.handler} | ${wsaName(row.error)} | ${row.why} |`,
  )
  return [
    '| Option | Who answers | | |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
    '| Control code | Who answers | Else | |',
    '| --- | --- | --- | --- |',
    ...codes,
  ].join('\n')
}

after(cleanUp)

describe('options and control codes', () => {
  test('docs/winsock.md shows the table', () => {
    const cells = (text: string): string[] =>
      text
        .split('\n')
        .filter((line) => /^\| `(SO_|TCP_|FIO|SIO)/.test(line))
        .map((line) => line.replace(/\s+/g, ' '))
    assert.deepEqual(cells(readFileSync('docs/winsock.md', 'utf8')), cells(drawn()))
  })

  test('numbers and GUIDs are those of winsock2.h, ws2def.h and mswsock.h', () => {
    const hexOf = (rows: readonly (readonly [string, { readonly number: number }])[]): object =>
      Object.fromEntries(rows.map(([name, { number }]) => [name, number.toString(16)]))
    assert.deepEqual(hexOf(options), {
      SO_DEBUG: '1',
      SO_ACCEPTCONN: '2',
      SO_REUSEADDR: '4',
      SO_KEEPALIVE: '8',
      SO_DONTROUTE: '10',
      SO_BROADCAST: '20',
      SO_LINGER: '80',
      SO_DONTLINGER: 'ff7f',
      SO_EXCLUSIVEADDRUSE: 'fffb',
      SO_OOBINLINE: '100',
      SO_SNDBUF: '1001',
      SO_RCVBUF: '1002',
      SO_SNDLOWAT: '1003',
      SO_RCVLOWAT: '1004',
      SO_SNDTIMEO: '1005',
      SO_RCVTIMEO: '1006',
      SO_ERROR: '1007',
      SO_TYPE: '1008',
      SO_GROUP_ID: '2001',
      SO_GROUP_PRIORITY: '2002',
      SO_MAX_MSG_SIZE: '2003',
      SO_CONDITIONAL_ACCEPT: '3002',
      SO_UPDATE_ACCEPT_CONTEXT: '700b',
      SO_CONNECT_TIME: '700c',
      SO_MAX_RDMA_SIZE: '700d',
      SO_RDMA_THRESHOLD_SIZE: '700e',
      SO_UPDATE_CONNECT_CONTEXT: '7010',
      TCP_NODELAY: '1',
    })
    assert.deepEqual(hexOf(ioctls), {
      FIONBIO: '8004667e',
      FIONREAD: '4004667f',
      SIOCATMARK: '40047307',
      SIO_ADDRESS_LIST_QUERY: '48000016',
      SIO_ADDRESS_LIST_CHANGE: '28000017',
      SIO_GET_EXTENSION_FUNCTION_POINTER: 'c8000006',
      SIO_GET_QOS: 'c8000007',
      SIO_GET_GROUP_QOS: 'c8000008',
      SIO_SET_QOS: '8800000b',
      SIO_SET_GROUP_QOS: '8800000c',
      SIO_ROUTING_INTERFACE_QUERY: 'c8000014',
      SIO_KEEPALIVE_VALS: '98000004',
    })
    assert.deepEqual(EXTENSIONS, {
      transmitFile: 'B5367DF0-CBAC-11CF-95CA-00805F48A192',
      acceptEx: 'B5367DF1-CBAC-11CF-95CA-00805F48A192',
      getAcceptExSockaddrs: 'B5367DF2-CBAC-11CF-95CA-00805F48A192',
      connectEx: '25A207B9-DDF3-4660-8EE9-76E58C74063E',
    })
    assert.deepEqual(
      options.filter(([, { level }]) => level !== 'SOL_SOCKET').map(([name]) => name),
      ['TCP_NODELAY'],
    )
  })

  test('what an option is before anybody has set it', () => {
    const one = program()
    const socket = valueOf(one.winsock.socket())
    const values = options
      .filter(([, { get }]) => get)
      .map(([name]) => [name, valueOf(socket.getsockopt(name))] as const)
    assert.deepEqual(Object.fromEntries(values), {
      SO_DEBUG: 0,
      SO_ACCEPTCONN: 0,
      SO_REUSEADDR: 1,
      SO_EXCLUSIVEADDRUSE: 1,
      SO_KEEPALIVE: 0,
      SO_LINGER: -1,
      SO_DONTLINGER: 1,
      SO_OOBINLINE: 0,
      SO_SNDBUF: 65536,
      SO_SNDTIMEO: 0,
      SO_RCVTIMEO: 0,
      SO_ERROR: 0,
      SO_TYPE: 1,
      SO_GROUP_ID: 0,
      SO_GROUP_PRIORITY: 0,
      SO_CONDITIONAL_ACCEPT: 0,
      SO_CONNECT_TIME: 0xffffffff,
      TCP_NODELAY: 0,
    })
  })

  for (const [carrier, make] of CARRIERS) {
    test(`every option is answered or refused with the code of its row, over ${carrier}`, async () => {
      const one = program(make())
      const { client, listener } = await connected(one)
      const fresh = valueOf(one.winsock.socket())
      for (const socket of [client, fresh, listener]) {
        for (const [name, row] of options) {
          const got = socket.getsockopt(name)
          if (row.get) assert.equal(typeof valueOf(got), 'number', name)
          else assert.equal(nameOf(got), wsaName(row.error), `getsockopt(${name})`)
          if (!row.set)
            assert.equal(nameOf(socket.setsockopt(name, 1)), wsaName(row.error), `setsockopt(${name})`)
          else if (row.handler === 'fixed') {
            assert.equal(socket.setsockopt(name, row.value ?? 0), 0)
            assert.equal(nameOf(socket.setsockopt(name, 7)), wsaName(row.error), name)
          }
          assert.equal(nameOf(socket.setsockopt(name, 0.5)), row.set ? 'WSAEINVAL' : wsaName(row.error), name)
        }
        assert.equal(nameOf(socket.getsockopt('SO_NONSENSE' as OptionName)), 'WSAENOPROTOOPT')
        assert.equal(nameOf(socket.setsockopt('SO_NONSENSE' as OptionName, 1)), 'WSAENOPROTOOPT')
      }
    })

    test(`what was set is what is told, over ${carrier}`, async () => {
      const one = program(make())
      const { client, listener, server } = await connected(one)
      for (const name of [
        'SO_KEEPALIVE',
        'TCP_NODELAY',
        'SO_DEBUG',
        'SO_GROUP_PRIORITY',
        'SO_OOBINLINE',
      ] as const) {
        for (const socket of [client, valueOf(one.winsock.socket())]) {
          assert.equal(valueOf(socket.getsockopt(name)), 0)
          assert.equal(socket.setsockopt(name, 1), 0, name)
          assert.equal(valueOf(socket.getsockopt(name)), 1)
        }
      }
      assert.equal(client.setsockopt('SO_DONTLINGER', 0), 0)
      assert.deepEqual(
        [valueOf(client.getsockopt('SO_LINGER')), valueOf(client.getsockopt('SO_DONTLINGER'))],
        [0, 0],
      )
      assert.equal(nameOf(client.setsockopt('SO_LINGER', 1 << 20)), 'WSAEINVAL')
      assert.equal(nameOf(client.setsockopt('SO_SNDBUF', 0)), 'WSAEINVAL')
      assert.equal(client.setsockopt('SO_SNDBUF', 100), 0)
      assert.equal(valueOf(client.send(Buffer.alloc(300))), 100)
      assert.equal(nameOf(listener.setsockopt('SO_CONDITIONAL_ACCEPT', 1)), 'WSAEINVAL')
      assert.equal(nameOf(listener.setsockopt('SO_UPDATE_ACCEPT_CONTEXT', 1)), 'WSAENOTCONN')
      assert.equal(valueOf(server.getsockopt('SO_CONNECT_TIME')), 0)
      assert.equal(valueOf(listener.getsockopt('SO_CONNECT_TIME')), 0xffffffff)
    })

    test(`WSD-ACCEPT-17 an accepted socket has its listener's options, over ${carrier}`, async () => {
      const one = program(make())
      const listener = valueOf(one.winsock.socket())
      listener.setsockopt('SO_KEEPALIVE', 1)
      listener.setsockopt('SO_OOBINLINE', 1)
      assert.deepEqual([listener.bind(LOCAL), listener.listen(2)], [0, 0])
      const client = valueOf(one.winsock.socket())
      const address = valueOf(listener.getsockname())
      const [server] = await Promise.all([listener.blocking.accept(), client.blocking.connect(address)])
      assert.deepEqual(
        (['SO_KEEPALIVE', 'SO_OOBINLINE', 'SO_DEBUG'] as const).map((name) =>
          valueOf(server.getsockopt(name)),
        ),
        [1, 1, 0],
      )
    })

    test(`every control code is answered or refused, over ${carrier}`, async () => {
      const one = program(make())
      const { client, server } = await connected(one)
      await server.blocking.send(Buffer.from('four'))
      assert.equal(await client.blocking.recv(Buffer.alloc(1)), 1)
      assert.equal(valueOf(client.ioctl('FIONREAD')), 3)
      assert.equal(valueOf(client.ioctl('SIOCATMARK')), carrier === 'tcpip')
      assert.equal(valueOf(client.ioctl('FIONBIO', 1)), 1)
      assert.equal(nameOf(client.ioctl('FIONBIO', 0)), 'WSAEOPNOTSUPP')
      // WSD-ADDR-8: the host's addresses, whatever a provider serves.
      assert.ok((valueOf(client.ioctl('SIO_ADDRESS_LIST_QUERY')) as string[]).includes('127.0.0.1'))
      for (const guid of Object.values(EXTENSIONS)) {
        assert.equal(typeof valueOf(client.ioctl('SIO_GET_EXTENSION_FUNCTION_POINTER', guid)), 'function')
      }
      const sanGuid = 'C0B422F5-F58C-11D1-AD6C-00C04FA34A2D'
      assert.equal(nameOf(client.ioctl('SIO_GET_EXTENSION_FUNCTION_POINTER', sanGuid)), 'WSAEINVAL')
      const fresh = valueOf(one.winsock.socket())
      for (const [name, row] of ioctls) {
        if (row.handler === 'refused') assert.equal(nameOf(client.ioctl(name)), wsaName(row.error), name)
        if (row.error === WSA.WSAENOTCONN) assert.equal(nameOf(fresh.ioctl(name)), 'WSAENOTCONN', name)
      }
      assert.equal(nameOf(client.ioctl('SIO_NONSENSE' as IoctlName)), 'WSAEOPNOTSUPP')
    })
  }
})
