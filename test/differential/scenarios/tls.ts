import { once } from 'node:events'
import type net from 'node:net'
import tls from 'node:tls'
import { CERT, KEY } from '../../support/certificate.ts'
import { bytes, describe, digest, happens, listen, target, watch, writeAll } from '../side.ts'
import type { Scenario, Side } from '../side.ts'

const SERVER = { key: KEY, cert: CERT }
const CLIENT = { ca: CERT, servername: 'localhost' }

/** Serves one TLS connection; the server closes with it. */
async function serveTls(
  side: Side,
  options: tls.TlsOptions,
  onSecure: (socket: tls.TLSSocket) => void,
): Promise<void> {
  const server = tls.createServer({ ...SERVER, ...options }, (socket) => {
    side.log(`secureConnection ${facts(socket)}`)
    onSecure(socket)
    socket.on('close', () => server.close())
  })
  server.on('tlsClientError', (error) => {
    side.log(`tlsClientError ${describe(error)}`)
    server.close()
  })
  server.on('close', () => {
    side.log('server close')
  })
  await listen(side, server)
}

/** What a secure socket says of itself. */
function facts(socket: tls.TLSSocket): string {
  return JSON.stringify({
    encrypted: socket.encrypted,
    authorized: socket.authorized,
    error: String(socket.authorizationError),
    alpn: socket.alpnProtocol,
    servername: (socket as { servername?: unknown }).servername,
    protocol: socket.getProtocol(),
    cipher: socket.getCipher().name,
    peer: (socket.getPeerCertificate() as { subject?: { CN: string } }).subject?.CN,
    resumed: socket.isSessionReused(),
    family: socket.remoteFamily,
    address: [socket.remoteAddress, socket.localAddress],
    native: (socket as unknown as { _handle: object })._handle.constructor.name,
    below: (socket as unknown as { _handle: { _parent: object } })._handle._parent.constructor.name,
  })
}

function watchSecure(side: Side, socket: tls.TLSSocket, label: string): tls.TLSSocket {
  watch(side, socket, label)
  socket.on('secureConnect', () => {
    side.log(`${label} secureConnect ${facts(socket)}`)
  })
  return socket
}

async function connectHalfOpen(side: Side): Promise<tls.TLSSocket> {
  const where = await target(side)
  return tls.connect({ ...where, ...CLIENT, allowHalfOpen: true } as tls.ConnectionOptions)
}

/** Speaks a line each way in plain, then TLS on the same socket; `upgrade` has the rest. */
async function serveStartTls(
  side: Side,
  options: net.ServerOpts,
  upgrade: (socket: tls.TLSSocket) => void,
): Promise<void> {
  const server = side.net.createServer(options, (socket) => {
    socket.write('220 ready\r\n')
    socket.once('data', (line: Buffer) => {
      side.log(`line ${digest(line)}`)
      socket.write('220 go ahead\r\n', () => {
        const secure = new tls.TLSSocket(socket, { ...SERVER, isServer: true })
        secure.on('secure', () => {
          side.log(`secure ${facts(secure)}`)
        })
        upgrade(secure)
      })
    })
    socket.on('close', () => server.close())
  })
  await listen(side, server)
}

async function startTls(side: Side, options: net.SocketConstructorOpts): Promise<tls.TLSSocket> {
  const socket = side.net.connect({ ...(await target(side)), ...options })
  await once(socket, 'data')
  socket.write('STARTTLS\r\n')
  await once(socket, 'data')
  return tls.connect({ socket, ...CLIENT })
}

function collect(side: Side, socket: net.Socket, label: string): void {
  const chunks: Buffer[] = []
  socket.on('data', (data: Buffer) => chunks.push(data))
  socket.on('end', () => {
    side.log(`${label} end after ${digest(Buffer.concat(chunks))}`)
  })
  socket.on('error', (error: Error) => {
    side.log(`${label} error ${describe(error)}`)
  })
  socket.on('close', (hadError) => {
    side.log(`${label} close ${hadError}`)
  })
}

/** TLS as its users see it. */
export const TLS: readonly Scenario[] = [
  {
    name: 'tls: what both ends see',
    server: (side) =>
      serveTls(side, { ALPNProtocols: ['b', 'a'] }, (socket) => {
        watch(side, socket, 'server')
        socket.on('end', () => socket.end('bye'))
        socket.write('hello')
      }),
    async client(side) {
      const socket = tls.connect({ ...(await target(side)), ...CLIENT, ALPNProtocols: ['a', 'b'] })
      watchSecure(side, socket, 'client')
      socket.once('data', () => socket.end('done'))
      await happens(socket, 'close')
    },
  },
  ...(['TLSv1.2', 'TLSv1.3'] as const).map((version): Scenario => ({
    name: `tls: much data both ways, ${version}`,
    server: (side) =>
      serveTls(side, { minVersion: version, maxVersion: version, allowHalfOpen: true }, (socket) => {
        collect(side, socket, 'server')
        void writeAll(socket, bytes(3_000_000), 70_001).then(() => socket.end())
      }),
    async client(side) {
      const socket = await connectHalfOpen(side)
      collect(side, socket, 'client')
      await writeAll(socket, bytes(5_000_000), 100_003)
      socket.end()
      await happens(socket, 'close')
    },
  })),
  {
    name: 'tls: half-closed by either side',
    server: (side) =>
      serveTls(side, { allowHalfOpen: true }, (socket) => {
        watch(side, socket, 'server')
        socket.on('end', () => {
          side.log('server goes on')
          void writeAll(socket, bytes(400_000), 50_000).then(() => socket.end())
        })
      }),
    async client(side) {
      const socket = await connectHalfOpen(side)
      watchSecure(side, socket, 'client')
      socket.end(bytes(200_000))
      await happens(socket, 'close')
    },
  },
  {
    name: 'tls: a session is resumed',
    async server(side) {
      const server = tls.createServer({ ...SERVER, maxVersion: 'TLSv1.2' }, (socket) => {
        side.log(`resumed ${socket.isSessionReused()}`)
        socket.end('x')
      })
      await listen(side, server)
      await side.hear('over')
      server.close()
    },
    async client(side) {
      const where = await target(side)
      let session: Buffer | undefined
      for (let round = 1; round <= 3; round += 1) {
        const socket = tls.connect({ ...where, ...CLIENT, ...(session && { session }) })
        socket.on('session', (given: Buffer) => {
          side.log('session')
          session = given
        })
        socket.on('keylog', (line: Buffer) => {
          side.log(`keylog ${String(line).split(' ')[0]}`)
        })
        socket.resume()
        await happens(socket, 'close')
        side.log(`resumed ${socket.isSessionReused() || 'no'}`)
      }
      side.tell('over')
    },
  },
  {
    name: 'tls: the certificate is not trusted',
    async server(side) {
      await serveTls(side, {}, (socket) => {
        socket.on('error', () => undefined)
      })
    },
    async client(side) {
      const socket = tls.connect({ ...(await target(side)), servername: 'localhost' })
      socket.on('error', (error: Error) => {
        side.log(`error ${describe(error)}`)
      })
      await happens(socket, 'close')
    },
  },
  {
    name: 'tls: the client does not speak it',
    server: (side) => serveTls(side, {}, () => undefined),
    async client(side) {
      const socket = side.net.connect(await target(side))
      socket.on('error', (error: Error) => {
        side.log(`error ${describe(error)}`)
      })
      socket.resume()
      socket.write('GET / HTTP/1.1\r\n\r\n')
      await happens(socket, 'close')
      side.log('close')
    },
  },
  {
    name: 'tls: the server does not speak it',
    async server(side) {
      const server = side.net.createServer((socket) => {
        socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
        socket.on('error', () => undefined)
        socket.on('close', () => server.close())
      })
      await listen(side, server)
    },
    async client(side) {
      const socket = tls.connect({ ...(await target(side)), ...CLIENT })
      socket.on('error', (error: Error) => {
        side.log(`error ${(error as NodeJS.ErrnoException).code}`)
      })
      await happens(socket, 'close')
      side.log(`close, destroyed ${socket.destroyed}`)
    },
  },
  {
    name: 'tls: a client certificate, and names chosen by the server',
    async server(side) {
      const server = tls.createServer(
        {
          ...SERVER,
          ca: CERT,
          requestCert: true,
          SNICallback(name, done) {
            side.log(`name ${name}`)
            setImmediate(done, null, tls.createSecureContext({ ...SERVER, ca: CERT }))
          },
        },
        (socket) => {
          side.log(`secureConnection ${facts(socket)}`)
          socket.end('x')
        },
      )
      await listen(side, server)
      await side.hear('over')
      server.close()
    },
    async client(side) {
      const socket = tls.connect({
        ...(await target(side)),
        ...SERVER,
        ca: CERT,
        servername: 'one.example.test',
      })
      watchSecure(side, socket, 'client')
      await happens(socket, 'close')
      side.tell('over')
    },
  },
  {
    name: 'tls: renegotiation',
    server: (side) =>
      serveTls(side, { maxVersion: 'TLSv1.2' }, (socket) => {
        socket.once('data', (data: Buffer) => {
          side.log(digest(data))
          socket.renegotiate({ requestCert: true, rejectUnauthorized: false }, (error) => {
            side.log(`renegotiated ${error === null}`)
            socket.end('after')
          })
        })
      }),
    async client(side) {
      const socket = tls.connect({ ...(await target(side)), ...CLIENT })
      collect(side, socket, 'client')
      socket.write('before')
      await happens(socket, 'close')
    },
  },
  ...[
    ['before the handshake', 'connect'],
    ['after the handshake', 'secureConnect'],
    ['after the first data', 'data'],
  ].map(([when, event]): Scenario => ({
    name: `tls: destroyed ${when}`,
    async server(side) {
      const server = tls.createServer(SERVER, (socket) => {
        socket.write('hello')
        socket.on('error', () => undefined)
        socket.resume()
      })
      server.on('tlsClientError', () => undefined)
      server.on('connection', (socket: net.Socket) => {
        socket.on('close', () => {
          side.log('closed')
          server.close()
        })
      })
      await listen(side, server)
    },
    async client(side) {
      const socket = tls.connect({ ...(await target(side)), ...CLIENT })
      socket.on(event as string, () => {
        side.log(`${event}`)
        socket.destroy()
      })
      await happens(socket, 'close')
      side.log('close')
    },
  })),
  {
    name: 'tls: destroyed while much waits to be written',
    server: (side) =>
      serveTls(side, {}, (socket) => {
        socket.once('data', () => {
          socket.destroy()
        })
        socket.on('error', () => undefined)
      }),
    async client(side) {
      const socket = tls.connect({ ...(await target(side)), ...CLIENT })
      socket.on('error', () => {
        side.log('connection lost')
      })
      // Whether the write or the read hears of it first is left to chance.
      let ended = 0
      socket.write(bytes(20_000_000), () => {
        ended += 1
      })
      await happens(socket, 'close')
      side.log(`close, ${ended} write called back`)
    },
  },
  {
    name: 'tls: read into one buffer, in one context',
    server: (side) =>
      serveTls(side, {}, (socket) => {
        collect(side, socket, 'server')
        socket.end(bytes(150_000))
      }),
    async client(side) {
      const buffer = Buffer.alloc(1000)
      const chunks: Buffer[] = []
      const socket = tls.connect({
        ...(await target(side)),
        ...CLIENT,
        onread: {
          buffer,
          callback: (length: number) => {
            chunks.push(Buffer.from(buffer.subarray(0, length)))
            return true
          },
        },
      } as tls.ConnectionOptions)
      socket.on('end', () => {
        side.log(digest(Buffer.concat(chunks)))
      })
      await happens(socket, 'close')
    },
  },
  {
    name: 'tls: ticks run between events',
    server: (side) =>
      serveTls(side, {}, (socket) => {
        socket.resume()
        socket.write('hello')
        socket.on('end', () => socket.end())
      }),
    async client(side) {
      const socket = tls.connect({ ...(await target(side)), ...CLIENT })
      socket.on('secureConnect', () => {
        process.nextTick(() => {
          side.log('tick after secureConnect')
        })
        void Promise.resolve().then(() => {
          side.log('microtask after secureConnect')
        })
      })
      socket.on('data', () => {
        side.log('data')
        process.nextTick(() => {
          side.log('tick after data')
        })
        socket.end()
      })
      await happens(socket, 'close')
    },
  },
  {
    name: 'tls: STARTTLS on a plain connection',
    server: (side) =>
      serveStartTls(side, { allowHalfOpen: true }, (secure) => {
        collect(side, secure, 'server')
        void writeAll(secure, bytes(2_000_000), 65_000).then(() => secure.end())
      }),
    async client(side) {
      const secure = await startTls(side, { allowHalfOpen: true })
      secure.on('secureConnect', () => {
        side.log(`secureConnect ${facts(secure)}`)
      })
      collect(side, secure, 'client')
      await writeAll(secure, bytes(1_000_000), 33_333)
      secure.end()
      await happens(secure, 'close')
    },
  },
  ...(['client', 'server'] as const).map((who): Scenario => ({
    name: `tls: STARTTLS, then the ${who} destroys the socket below`,
    server: (side) =>
      serveStartTls(side, {}, (secure) => {
        secure.on('error', () => undefined)
        secure.on('close', () => {
          side.log('secure close')
        })
        secure.once('data', () => {
          const below = (secure as unknown as { _parent: net.Socket })._parent
          if (who === 'server') below.destroy()
        })
      }),
    async client(side) {
      const secure = await startTls(side, {})
      secure.on('error', () => undefined)
      secure.on('secureConnect', () => {
        secure.write('x', () => {
          if (who === 'client') (secure as unknown as { _parent: net.Socket })._parent.destroy()
        })
      })
      await happens(secure, 'close')
      side.log(`close, below destroyed ${(secure as unknown as { _parent: net.Socket })._parent.destroyed}`)
    },
  })),
  {
    name: 'tls: what was written before goes out first',
    async server(side) {
      const server = side.net.createServer((socket) => {
        const chunks: Buffer[] = []
        let length = 0
        const read = (data: Buffer): void => {
          chunks.push(data)
          length += data.length
          if (length < 3_000_000) return
          socket.off('data', read)
          const all = Buffer.concat(chunks)
          side.log(digest(all.subarray(0, 3_000_000)))
          socket.pause()
          socket.unshift(all.subarray(3_000_000))
          const secure = new tls.TLSSocket(socket, { ...SERVER, isServer: true })
          collect(side, secure, 'server')
          secure.on('end', () => secure.end('bye'))
        }
        socket.on('data', read)
        socket.on('close', () => server.close())
      })
      await listen(side, server)
    },
    async client(side) {
      const socket = side.net.connect(await target(side))
      await happens(socket, 'connect')
      socket.write(bytes(3_000_000))
      const secure = tls.connect({ socket, ...CLIENT })
      collect(side, secure, 'client')
      secure.end('over TLS')
      await happens(secure, 'close')
    },
  },
  {
    name: 'tls: over a socket that is still connecting',
    server: (side) =>
      serveTls(side, {}, (socket) => {
        collect(side, socket, 'server')
        socket.end('hello')
      }),
    async client(side) {
      const socket = side.net.connect(await target(side))
      const secure = tls.connect({ socket, ...CLIENT })
      watchSecure(side, secure, 'client')
      secure.end('x')
      await happens(secure, 'close')
    },
  },
  {
    name: 'tls: inside TLS',
    async server(side) {
      const server = tls.createServer(SERVER, (outer) => {
        const inner = new tls.TLSSocket(outer, { ...SERVER, isServer: true })
        collect(side, inner, 'inner')
        inner.on('end', () => inner.end(bytes(300_000)))
        outer.on('close', () => server.close())
      })
      await listen(side, server)
    },
    async client(side) {
      const outer = tls.connect({ ...(await target(side)), ...CLIENT })
      const inner = tls.connect({ socket: outer, ...CLIENT })
      inner.on('secureConnect', () => {
        side.log(`secureConnect ${inner.getProtocol()}`)
      })
      collect(side, inner, 'inner')
      inner.end(bytes(200_000))
      await happens(inner, 'close')
    },
  },
]
