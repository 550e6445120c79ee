// A small server of the Redis protocol: what ioredis needs to be exercised when Redis itself is a Node program.
import net from 'node:net'
import { serve } from './support.mjs'

const store = new Map()
const subscribers = new Map()
const bulk = (value) => (value === undefined ? '$-1\r\n' : `$${Buffer.byteLength(value)}\r\n${value}\r\n`)
const array = (values) => `*${values.length}\r\n${values.join('')}`

const COMMANDS = {
  info: () => bulk('redis_version:7.0.0\r\nloading:0'),
  ping: () => '+PONG\r\n',
  client: () => '+OK\r\n',
  select: () => '+OK\r\n',
  flushall() {
    store.clear()
    return '+OK\r\n'
  },
  set(_socket, key, value) {
    store.set(key, value)
    return '+OK\r\n'
  },
  get: (_socket, key) => bulk(store.get(key)),
  del: (_socket, ...keys) => `:${keys.filter((key) => store.delete(key)).length}\r\n`,
  incr(_socket, key) {
    store.set(key, String(Number(store.get(key) ?? 0) + 1))
    return `:${store.get(key)}\r\n`
  },
  mget: (_socket, ...keys) => array(keys.map((key) => bulk(store.get(key)))),
  rpush(_socket, key, ...values) {
    const list = [...JSON.parse(store.get(key) ?? '[]'), ...values]
    store.set(key, JSON.stringify(list))
    return `:${list.length}\r\n`
  },
  lrange: (_socket, key) => array(JSON.parse(store.get(key) ?? '[]').map(bulk)),
  subscribe(socket, channel) {
    subscribers.set(channel, [...(subscribers.get(channel) ?? []), socket])
    return array([bulk('subscribe'), bulk(channel), ':1\r\n'])
  },
  publish(_socket, channel, text) {
    const all = subscribers.get(channel) ?? []
    for (const socket of all) socket.write(array([bulk('message'), bulk(channel), bulk(text)]))
    return `:${all.length}\r\n`
  },
  quit: () => '+OK\r\n',
}

/** Takes whole commands off the front of `data`; answers them and what is left. */
function parse(data) {
  const commands = []
  let at = 0
  const line = (from) => {
    const end = data.indexOf('\r\n', from)
    return end < 0 ? undefined : [data.toString('latin1', from, end), end + 2]
  }
  outer: while (at < data.length) {
    let next = line(at)
    if (next === undefined) break
    const words = []
    let to = next[1]
    for (let left = Number(next[0].slice(1)); left > 0; left -= 1) {
      next = line(to)
      if (next === undefined) break outer
      const length = Number(next[0].slice(1))
      if (data.length < next[1] + length + 2) break outer
      words.push(data.toString('utf8', next[1], next[1] + length))
      to = next[1] + length + 2
    }
    commands.push(words)
    at = to
  }
  return { commands, rest: data.subarray(at) }
}

const server = net.createServer((socket) => {
  let rest = Buffer.alloc(0)
  socket.on('error', () => undefined) // a client that goes away
  socket.on('data', (data) => {
    const parsed = parse(rest.length === 0 ? data : Buffer.concat([rest, data]))
    rest = parsed.rest
    const answers = parsed.commands.map(([name, ...words]) => {
      const command = COMMANDS[name.toLowerCase()]
      return command === undefined ? `-ERR unknown command '${name}'\r\n` : command(socket, ...words)
    })
    if (answers.length > 0) socket.write(answers.join(''))
  })
})
serve(server)
