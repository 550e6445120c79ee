/** Every member of secure sockets and servers, and their options. */
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type net from 'node:net'
import tls from 'node:tls'
import { CERT, KEY } from '../../support/certificate.ts'
import { departures, describe, digest, happens, listen, target } from '../side.ts'
import type { Scenario, Side } from '../side.ts'

const SERVER = { key: KEY, cert: CERT }
const CLIENT = { ca: CERT, servername: 'localhost' }
const PSK = Buffer.from('0123456789abcdef')
const OLDEST_AND_NEWEST = ['TLSv1.2', 'TLSv1.3'] as const

const length = (value: Buffer | undefined): number | undefined => value?.length

/** What a secure socket tells, as far as it is the same in every run. */
function members(socket: tls.TLSSocket): string {
  const { authorized, encrypted, alpnProtocol } = socket
  const { servername } = socket as { servername?: unknown }
  const key = socket.getEphemeralKeyInfo() as { type?: string; name?: string } | null
  return JSON.stringify({
    ...{
      authorized,
      encrypted,
      alpnProtocol,
      servername,
      authorizationError: String(socket.authorizationError),
    },
    getProtocol: socket.getProtocol(),
    getCipher: socket.getCipher().standardName,
    getCertificate: Object.keys(socket.getCertificate() ?? {}).length > 0,
    getPeerCertificate: socket.getPeerCertificate().fingerprint,
    getX509Certificate: socket.getX509Certificate() instanceof X509Certificate,
    getPeerX509Certificate: socket.getPeerX509Certificate()?.subject,
    getEphemeralKeyInfo: [key?.type, key?.name],
    getSharedSigalgs: socket.getSharedSigalgs(),
    getFinished: length(socket.getFinished()),
    getPeerFinished: length(socket.getPeerFinished()),
    getSession: socket.getSession() !== undefined,
    getTLSTicket: socket.getTLSTicket() !== undefined,
    isSessionReused: socket.isSessionReused(),
    exportKeyingMaterial: length(socket.exportKeyingMaterial(32, 'label', Buffer.from('context'))),
    setMaxSendFragment: socket.setMaxSendFragment(1024),
  })
}

/** Members without a declaration. */
interface Undeclared {
  setServername(name: string): void
  setSession(session: Buffer): void
  /** Node 22.5. */
  setKeyCert?(options: object): void
}

function undeclared(socket: tls.TLSSocket): Undeclared {
  return socket as unknown as Undeclared
}

const EVENTS = [
  'secureConnection',
  'tlsClientError',
  'newSession',
  'resumeSession',
  'OCSPRequest',
  'keylog',
] as const

/** Serves until the client says that it is over; each connection is told 'hello', and ended. */
async function serve(
  side: Side,
  options: tls.TlsOptions,
  prepare: (server: tls.Server) => void = () => undefined,
  log: (text: string) => void = (text) => {
    side.log(text)
  },
): Promise<void> {
  const server = tls.createServer({ ...SERVER, ...options })
  server.on('secureConnection', (socket) => {
    socket.on('error', (error: Error) => {
      log(`server ${describe(error)}`)
    })
    log(`server ${members(socket)}`)
    socket.resume().end('hello')
  })
  server.on('tlsClientError', (error: Error) => {
    log(`tlsClientError ${describe(error)}`)
  })
  prepare(server)
  const departed = departures(server)
  await listen(side, server)
  await side.hear('over')
  await departed()
  server.close()
}

/** Connects, reads to the end, and notes what there is to note. */
async function tryOptions(
  side: Side,
  what: string,
  options: tls.ConnectionOptions,
): Promise<Buffer | undefined> {
  let session: Buffer | undefined
  const socket = tls.connect({ ...CLIENT, ...options })
  const chunks: Buffer[] = []
  socket.on('session', (given: Buffer) => (session = given))
  socket.on('data', (data: Buffer) => chunks.push(data))
  socket.on('OCSPResponse', (response: Buffer | null) => {
    side.log(`${what}: OCSPResponse ${String(response)}`)
  })
  socket.on('secureConnect', () => {
    side.log(`${what}: ${members(socket)}`)
  })
  socket.on('error', (error: Error) => {
    side.log(`${what}: ${describe(error)}`)
  })
  await happens(socket, 'close')
  side.log(`${what}: ${digest(Buffer.concat(chunks))}`)
  return session
}

export const TLS_MEMBERS: readonly Scenario[] = [
  {
    name: 'tls: every member of a secure socket',
    async server(side) {
      await serve(
        side,
        { ALPNProtocols: ['b', 'a'], requestCert: true, rejectUnauthorized: false },
        (server) => {
          server.on('secureConnection', (socket) => {
            socket.disableRenegotiation()
            undeclared(socket).setKeyCert?.(SERVER)
          })
        },
      )
    },
    async client(side) {
      const where = await target(side)
      for (const version of OLDEST_AND_NEWEST) {
        const options = {
          ...where,
          ...SERVER,
          ALPNProtocols: ['a', 'b'],
          minVersion: version,
          maxVersion: version,
        }
        await tryOptions(side, version, options)
      }
      side.tell('over')
    },
  },
  {
    name: 'tls: a socket told by hand, and traced',
    server: (side) =>
      serve(side, {
        SNICallback: (name, done) => {
          side.log(`asked for ${name}`)
          done(null)
        },
      }),
    async client(side) {
      const where = await target(side)
      const plain = side.net.connect(where)
      await happens(plain, 'connect')
      const socket = new tls.TLSSocket(plain, {
        ...{
          isServer: false,
          requestOCSP: true,
          enableTrace: false,
          requestCert: true,
          rejectUnauthorized: false,
        },
        secureContext: tls.createSecureContext({ ca: CERT }),
        server: undefined as unknown as net.Server,
      })
      undeclared(socket).setServername('localhost')
      socket.on('secure', () => {
        side.log(`secure ${members(socket)}`)
      })
      socket.on('data', (data: Buffer) => {
        side.log(digest(data))
      })
      socket.write('')
      await happens(socket, 'close')
      // Its trace goes to stderr.
      const traced = tls.connect({ ...where, ...CLIENT })
      traced.enableTrace()
      await happens(traced.resume(), 'close')
      side.tell('over')
    },
  },
  {
    name: 'tls: a session set by hand, and renegotiated for',
    server: (side) => serve(side, { maxVersion: 'TLSv1.2', sessionTimeout: 100, sessionIdContext: 'mine' }),
    async client(side) {
      const where = await target(side)
      const session = await tryOptions(side, 'first', where)
      const socket = tls.connect({ ...where, ...CLIENT })
      if (session !== undefined) undeclared(socket).setSession(session)
      side.log(`renegotiate ${typeof socket.renegotiate}`)
      socket.on('secureConnect', () => {
        side.log(`resumed ${socket.isSessionReused()}`)
      })
      await happens(socket.resume(), 'close')
      side.tell('over')
    },
  },
  {
    name: 'tls: every event of a server',
    server: (side) => {
      const sessions = new Map<string, Buffer>()
      return serve(
        side,
        { maxVersion: 'TLSv1.2', secureOptions: 1 << 14, handshakeTimeout: 60_000 },
        (server) => {
          for (const event of EVENTS) {
            server.on(event, () => {
              side.log(event)
            })
          }
          server.on('newSession', (id: Buffer, data: Buffer, done: () => void) => {
            sessions.set(id.toString('hex'), data)
            setImmediate(done)
          })
          server.on(
            'resumeSession',
            (id: Buffer, done: (error: Error | null, data: Buffer | null) => void) => {
              setImmediate(() => {
                done(null, sessions.get(id.toString('hex')) ?? null)
              })
            },
          )
          server.on('OCSPRequest', (_certificate, _issuer, done: (error: null, response: Buffer) => void) => {
            done(null, Buffer.from('good'))
          })
        },
      )
    },
    async client(side) {
      const where = await target(side)
      const options = { ...where, requestOCSP: true }
      const session = await tryOptions(side, 'first', options)
      await tryOptions(side, 'again', { ...options, ...(session && { session }) })
      side.tell('over')
    },
  },
  {
    name: 'tls: keys and contexts of a server change while it listens',
    server: (side) =>
      serve(side, { ticketKeys: Buffer.alloc(48, 1) }, (server) => {
        side.log(`ticket keys ${server.getTicketKeys().length}`)
        server.setTicketKeys(Buffer.alloc(48, 2))
        server.addContext('other.example.test', SERVER)
        server.setSecureContext({ ...SERVER, minVersion: 'TLSv1.3' })
        // Gone from Node 24.
        const { setOptions } = server as tls.Server & { setOptions?: (options: object) => void }
        setOptions?.call(server, {})
      }),
    async client(side) {
      const where = await target(side)
      await tryOptions(side, 'localhost', where)
      await tryOptions(side, 'other', { ...where, servername: 'other.example.test', minVersion: 'TLSv1.3' })
      await tryOptions(side, 'too old', { ...where, maxVersion: 'TLSv1.2' })
      side.tell('over')
    },
  },
  {
    name: 'tls: every option of a connection',
    server: (side) =>
      serve(
        side,
        {
          ...{
            requestCert: true,
            rejectUnauthorized: false,
            ca: CERT,
            honorCipherOrder: true,
            ecdhCurve: 'auto',
          },
          ...{ ALPNCallback: ({ protocols }) => protocols.at(-1), dhparam: 'auto', crl: [] },
          ...{ pauseOnConnect: false, handshakeTimeout: 60_000, enableTrace: false },
        },
        () => {
          side.log('serving')
        },
        // When it hears of clients that give up, and whether before those that do not, is left to chance.
        () => undefined,
      ),
    async client(side) {
      const where = await target(side)
      const context = tls.createSecureContext({ ...SERVER, ca: CERT })
      const lookup: tls.ConnectionOptions['lookup'] = (_name, options, callback) => {
        if (options.all === true) callback(null, [{ address: where.host, family: 4 }])
        else callback(null, where.host, 4)
      }
      const ways: Readonly<Record<string, object>> = {
        'key, cert, passphrase': { ...SERVER, passphrase: 'none' },
        secureContext: { secureContext: context },
        'ciphers, sigalgs': {
          maxVersion: 'TLSv1.2',
          ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256',
          sigalgs: 'ECDSA+SHA256',
        },
        ecdhCurve: { ecdhCurve: 'P-384' },
        minDHSize: { minDHSize: 2048 },
        'minVersion, maxVersion': { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' },
        secureProtocol: { secureProtocol: 'TLSv1_2_method' },
        secureOptions: { secureOptions: 1 << 14 },
        'no version': { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' },
        ALPNProtocols: { ALPNProtocols: ['x', 'y'] },
        checkServerIdentity: { checkServerIdentity: () => new Error('not him') },
        servername: { servername: 'wrong.test' },
        rejectUnauthorized: { ca: [], rejectUnauthorized: false },
        allowPartialTrustChain: { allowPartialTrustChain: true },
        lookup: { host: 'a.test', lookup },
        timeout: { timeout: 60_000 },
        requestOCSP: { requestOCSP: true },
        pfx: { pfx: Buffer.from('none') },
        privateKeyIdentifier: { privateKeyEngine: 'none', privateKeyIdentifier: 'none' },
        clientCertEngine: { clientCertEngine: 'none' },
        certificateCompression: { certificateCompression: undefined },
        enableTrace: { enableTrace: false },
      }
      for (const [what, options] of Object.entries(ways)) {
        try {
          await tryOptions(side, what, { ...where, ...options })
        } catch (error) {
          side.log(`${what}: throws ${describe(error as Error)}`)
        }
      }
      side.tell('over')
    },
  },
  {
    name: 'tls: keys that both know beforehand',
    server: (side) =>
      serve(side, {
        ...{ key: undefined, cert: undefined, ciphers: 'PSK', maxVersion: 'TLSv1.2', pskIdentityHint: 'who' },
        pskCallback: (_socket, identity) => (identity === 'me' ? PSK : null),
      }),
    async client(side) {
      const where = await target(side)
      for (const identity of ['me', 'somebody']) {
        const pskCallback = (hint: string | null): tls.PSKCallbackNegotation => {
          side.log(`hint ${String(hint)}`)
          return { psk: PSK, identity }
        }
        await tryOptions(side, identity, {
          ...{ ...where, ca: undefined, ciphers: 'PSK', maxVersion: 'TLSv1.2', pskCallback },
          checkServerIdentity: () => undefined,
        })
      }
      side.tell('over')
    },
  },
  {
    name: 'tls: a socket at a path, and one of a caller',
    connects: false,
    async server(side) {
      const server = tls.createServer(SERVER, (socket) => socket.end('hello'))
      const path = `\0sockswitch-test-${process.pid}`
      server.listen(path)
      await once(server, 'listening')
      side.tell('path', path)
      await side.hear('over')
      server.close()
    },
    async client(side) {
      const path = (await side.hear('path')) as string
      await tryOptions(side, 'path', { path })
      await tryOptions(side, 'socket', { socket: side.net.connect(path) })
      side.tell('over')
    },
  },
]
