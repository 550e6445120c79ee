import { ORIGIN, bytes, client, event, load } from './support.mjs'

const { io } = await load('socket.io-client')
const open = (options) => io(ORIGIN, { forceNew: true, ...options })
const upgraded = open({})
const polling = open({ transports: ['polling'] })
const direct = open({ transports: ['websocket'] })

await client({
  async check(note) {
    await Promise.all([upgraded, polling, direct].map((socket) => event(socket, 'connect')))
    if (upgraded.io.engine.transport.name !== 'websocket') await event(upgraded.io.engine, 'upgrade')
    for (const socket of [upgraded, polling, direct]) {
      note('transport', await socket.emitWithAck('transport'))
      note('echo', await socket.emitWithAck('echo', { a: [1, 'ü', null] }))
      const data = bytes(700_000)
      note('binary', data.equals(await socket.emitWithAck('echo', data)))
      note('rooms', await socket.emitWithAck('join', 'room'))
    }
    const heard = Promise.all([upgraded, polling, direct].map((socket) => event(socket, 'heard')))
    direct.emit('shout', 'room', 'everybody')
    note('heard', await heard)
    polling.disconnect()
    note('disconnected', polling.connected)
  },
  operation: () => direct.emitWithAck('echo', 'a short text'),
  lanes: 4,
  close() {
    upgraded.disconnect()
    direct.disconnect()
  },
})
