import { SPI_VERSION, WSA, failure, formatAddress, isWildcard, success } from '../../src/spi/index.ts'
import type { ConditionFunction, EventObject, SanSocket, SwitchHandle, Verdict } from '../../src/spi/index.ts'
import { broken, closeForgets, instead } from './mutant.ts'
import type { Case, Mutation } from './mutant.ts'

function withVerdict(change: (verdict: Verdict) => Verdict): Mutation {
  return {
    socket: {
      accept: (real, condition) => real.accept((request) => change(condition(request))),
    },
  }
}

/** Swallows what the real socket does to the event while `isDeaf`, in a call that `during` makes. */
function deafTo(what: 'set' | 'reset', during: 'accept' | 'eventSelect' | 'enumNetworkEvents'): Mutation {
  let isDeaf = false
  const deafened = (event: EventObject | null): EventObject | null =>
    event && {
      get isSet() {
        return event.isSet
      },
      set: () => {
        if (!(isDeaf && what === 'set')) event.set()
      },
      reset: () => {
        if (!(isDeaf && what === 'reset')) event.reset()
      },
    }
  const deaf = <T>(name: typeof during, call: () => T): T => {
    isDeaf = name === during
    const result = call()
    isDeaf = false
    return result
  }
  return {
    socket: {
      eventSelect: (real, event, mask) => deaf('eventSelect', () => real.eventSelect(deafened(event), mask)),
      accept: (real, condition) => deaf('accept', () => real.accept(condition)),
      enumNetworkEvents: (real, event) =>
        deaf('enumNetworkEvents', () => real.enumNetworkEvents(deafened(event))),
    },
  }
}

/** Ways to break each clause up to the connection, and each test of odd arguments there. */
export const controlCases: readonly Case[] = [
  broken('PROVIDER-1', 'starts with any version', () => ({
    provider: { startup: (real, request) => real.startup({ ...request, version: SPI_VERSION }) },
  })),
  broken('PROVIDER-2', 'the first cleanup cleans up', () => ({
    provider: {
      cleanup(real) {
        const status = real.cleanup()
        while (real.cleanup() === 0);
        return status
      },
    },
  })),
  broken('PROVIDER-3', 'cleanup always succeeds', () => ({
    provider: {
      cleanup(real) {
        real.cleanup()
        return 0
      },
    },
  })),
  broken('PROVIDER-4', 'cleanup leaves the sockets open', () => ({ provider: { cleanup: () => 0 } })),
  broken('PROVIDER-5', 'socket starts the provider', () => ({
    provider: {
      socket(real, request) {
        const createSocketHandle = () => success({} as SwitchHandle)
        const upcalls = { createSocketHandle } as never
        real.startup({ version: SPI_VERSION, upcalls })
        return real.socket(request)
      },
    },
  })),
  broken('SOCKET-1', 'makes up a switch descriptor', () => ({
    upcalls: { createSocketHandle: () => success({} as SwitchHandle) },
  })),
  broken('SOCKET-2', 'returns the switch descriptor', ({ upcalls }) => ({
    provider: { socket: () => upcalls().createSocketHandle({}) as never },
  })),
  broken('BIND-1', 'refuses the wildcard', () => ({
    socket: { bind: (real, address) => (isWildcard(address) ? WSA.WSAEADDRNOTAVAIL : real.bind(address)) },
  })),
  broken('BIND-1', 'binds to another port', () => ({
    socket: { bind: (real, address) => real.bind({ ...address, port: address.port + 5000 }) },
  })),
  broken('BIND-2', 'a second bind succeeds', () => ({
    socket: { bind: (real, address) => instead(WSA.WSAEINVAL, 0)(real.bind(address)) },
  })),
  broken('BIND-2', 'takes an address that is not served', () => ({
    socket: { bind: (real, address) => instead(WSA.WSAEADDRNOTAVAIL, 0)(real.bind(address)) },
  })),
  broken('BIND-3', 'judges reuse', () => {
    const used = new Set<string>()
    return {
      socket: {
        bind(real, address) {
          if (used.has(formatAddress(address))) return WSA.WSAEADDRINUSE
          used.add(formatAddress(address))
          return real.bind(address)
        },
      },
    }
  }),
  broken('LISTEN-1', 'listens unbound', () => ({
    socket: { listen: (real, backlog) => instead(WSA.WSAEINVAL, 0)(real.listen(backlog)) },
  })),
  broken('LISTEN-1', 'a connected socket may listen', () => ({
    socket: { listen: (real, backlog) => instead(WSA.WSAEISCONN, 0)(real.listen(backlog)) },
  })),
  broken('LISTEN-2', 'queues one request too many', () => ({
    socket: { listen: (real, backlog) => real.listen(backlog + 1) },
  })),
  broken('LISTEN-3', 'the second listen does nothing', () => {
    const listening = new Set<SanSocket>()
    return {
      socket: {
        listen(real, backlog) {
          if (listening.has(real)) return 0
          listening.add(real)
          return real.listen(backlog)
        },
      },
    }
  }),
  broken('EVENT-1', 'takes any bit', () => ({
    socket: { eventSelect: (real, event, mask) => real.eventSelect(event, mask & 0x18) },
  })),
  broken('EVENT-1', 'mask 0 does not cancel', () => {
    const events: EventObject[] = []
    return {
      socket: {
        eventSelect(real, event, mask) {
          if (event !== null) events.push(event)
          const all: EventObject = {
            isSet: false,
            set: () => {
              for (const each of events) each.set()
            },
            reset: () => undefined,
          }
          return real.eventSelect(all, mask)
        },
      },
    }
  }),
  broken('EVENT-2', 'eventSelect signals nothing', () => deafTo('set', 'eventSelect')),
  broken('EVENT: enum', 'leaves the event set', () => deafTo('reset', 'enumNetworkEvents')),
  broken('EVENT: every', 'signals once and never again', () => {
    const told = new Set<EventObject>()
    return {
      socket: {
        eventSelect: (real, event, mask) =>
          real.eventSelect(
            event && {
              isSet: false,
              set: () => {
                if (!told.has(event)) event.set()
                told.add(event)
              },
              reset: () => undefined,
            },
            mask,
          ),
      },
    }
  }),
  broken('ACCEPT-1', 'asks twice', () => ({
    socket: {
      accept: (real, condition) =>
        real.accept((request) => {
          condition(request)
          return condition(request)
        }),
    },
  })),
  broken('ACCEPT-1', 'tells the peer, then asks', () => ({ socket: { accept: askLate } })),
  broken('ACCEPT-2', 'the accepted socket has the descriptor of the first', () => {
    let first: SwitchHandle | undefined
    return {
      upcalls: {
        createSocketHandle(real, context) {
          const made = first === undefined ? real.createSocketHandle(context) : success(first)
          if (made.ok) first = made.value
          return made
        },
      },
    }
  }),
  broken('ACCEPT-2', 'calls the local address remote', () => ({
    socket: {
      accept(real, condition) {
        const accepted = real.accept(condition)
        return accepted.ok ? success({ ...accepted.value, remote: accepted.value.local }) : accepted
      },
    },
  })),
  broken('ACCEPT-2', 'the accepted socket has no regions', () => ({
    socket: { memory: () => failure(WSA.WSAENOTCONN) },
  })),
  broken('ACCEPT-3', 'forgets why', () =>
    withVerdict((verdict) => (verdict.decision === 'CF_REJECT' ? { decision: 'CF_REJECT' } : verdict)),
  ),
  broken('ACCEPT-4', 'drops a deferred request', () => ({
    socket: {
      accept(real, condition) {
        const deferred: Verdict[] = []
        const accepted = real.accept((request) => {
          const verdict = condition(request)
          if (verdict.decision !== 'CF_DEFER') return verdict
          deferred.push(verdict)
          return { decision: 'CF_REJECT' }
        })
        return deferred.length > 0 ? failure(WSA.WSATRY_AGAIN) : accepted
      },
    },
  })),
  broken('ACCEPT-5', 'says nothing is queued where nothing listens', () => ({
    socket: {
      accept(real, condition) {
        const accepted = real.accept(condition)
        const isInvalid = !accepted.ok && accepted.error === WSA.WSAEINVAL
        return isInvalid ? failure(WSA.WSAEWOULDBLOCK) : accepted
      },
    },
  })),
  broken('ACCEPT-6', 'does not withdraw requests', () => closeForgets('connect')),
  broken('ACCEPT-7', 'accept does not signal again', () => deafTo('set', 'accept')),
  broken('ACCEPT-7', 'accept does not reset', () => deafTo('reset', 'accept')),
  broken('ACCEPT-8', 'a pended request stays in the queue', () => ({
    socket: {
      accept(real, condition, pended) {
        const deferred: Verdict[] = []
        const accepted = real.accept((request) => {
          const verdict = condition(request)
          if (verdict.decision !== 'CF_PEND') return verdict
          verdict.pended.begin()
          deferred.push(verdict)
          return { decision: 'CF_DEFER' }
        }, pended)
        return deferred.length > 0 ? failure(WSA.WSA_IO_PENDING) : accepted
      },
    },
  })),
  broken('ACCEPT-9', 'asks about whoever is first', () => ({
    socket: { accept: (real, condition) => real.accept(condition) },
  })),
  broken('ACCEPT-10', 'does not tell that a peer has withdrawn', () => closeForgets('connect')),
  broken('ACCEPT-10', 'completes twice', ({ upcalls }) => ({
    upcalls: {
      completeOverlappedRequest(real, handle, overlapped, status, bytes) {
        real.completeOverlappedRequest(handle, overlapped, status, bytes)
        return upcalls().completeOverlappedRequest(handle, overlapped, status, bytes)
      },
    },
  })),
  broken('CONNECT-4', 'pends without a word', () => ({
    socket: {
      enumNetworkEvents(real, event) {
        const events = real.enumNetworkEvents(event)
        const pending = events.ok && events.value.connectStatus === WSA.WSA_IO_PENDING
        return pending ? success({ mask: 0, connectStatus: 0 }) : events
      },
    },
  })),
  broken('CONNECT-1', 'signals a result it has already answered', () => {
    const events = new Map<SanSocket, EventObject | null>()
    return {
      socket: {
        eventSelect(real, event, mask) {
          events.set(real, event)
          return real.eventSelect(event, mask)
        },
        connect(real, address, callerData) {
          const status = real.connect(address, callerData)
          if (status !== WSA.WSAEWOULDBLOCK) events.get(real)?.set()
          return status
        },
      },
    }
  }),
  broken('CONNECT-1', 'promises a result and never gives it', () => ({
    socket: { connect: () => WSA.WSAEWOULDBLOCK },
  })),
  broken('CONNECT-2', 'refuses in the name of TCP', () => ({
    socket: {
      connect: (real, address, callerData) =>
        instead(WSA.WSAETIMEDOUT, WSA.WSAECONNREFUSED)(real.connect(address, callerData)),
    },
  })),
  broken('CONNECT-3', 'close leaves the attempt', () => closeForgets('connect')),
  broken('PROVIDER: startup', 'regions too small for a session', () => ({
    provider: {
      startup(real, request) {
        const started = real.startup(request)
        if (!started.ok) return started
        const limits = { ...started.value.limits, regionBytes: 1000 }
        return success({ ...started.value, limits })
      },
    },
  })),
  broken('PROVIDER: addressList', 'serves nothing', () => ({ provider: { addressList: () => success([]) } })),
  broken('PROVIDER: socket refuses a family', 'makes an IPv4 socket of it', () => ({
    provider: { socket: (real) => real.socket({ family: 'IPv4' }) },
  })),
  broken('PROVIDER: socket refuses a duplicate', 'makes a new socket of it', () => ({
    provider: { socket: (real, { family }) => real.socket({ family }) },
  })),
  broken('PROVIDER: socket fails', 'with a code of its own', () => ({
    provider: {
      socket(real, request) {
        const made = real.socket(request)
        return made.ok ? made : failure(WSA.WSAEMFILE)
      },
    },
  })),
  broken('BIND:', 'takes what it does not understand', () => ({
    socket: { bind: (real, address) => instead(WSA.WSAEFAULT, 0)(real.bind(address)) },
  })),
  broken('OPTIONS:', 'takes every option', () => ({ socket: { setSockOpt: () => 0 } })),
  broken('LISTEN: refuses', 'makes 1 of every bad backlog', () => ({
    socket: { listen: (real, backlog) => real.listen(backlog > 1 ? backlog : 1) },
  })),
  broken('LISTEN: a connecting', 'listens', () => ({
    socket: { listen: (real, backlog) => instead(WSA.WSAEINVAL, 0)(real.listen(backlog)) },
  })),
  broken('ACCEPT: a burst', 'one request is lost', () => {
    let accepts = 0
    return {
      socket: {
        accept(real, condition) {
          accepts += 1
          if (accepts !== 8) return real.accept(condition)
          real.accept(() => ({ decision: 'CF_REJECT' }))
          return failure(WSA.WSAEWOULDBLOCK)
        },
      },
    }
  }),
  broken('ACCEPT: the largest', 'cuts callee data off', () =>
    withVerdict((verdict) =>
      verdict.decision === 'CF_ACCEPT'
        ? { ...verdict, calleeData: verdict.calleeData.slice(0, 128) }
        : verdict,
    ),
  ),
  broken('ACCEPT: without', 'goes on with a handle of its own', () => ({
    upcalls: {
      createSocketHandle(real, context) {
        const made = real.createSocketHandle(context)
        return made.ok ? made : success({} as SwitchHandle)
      },
    },
  })),
  broken('ACCEPT: the condition', 'the listener stays', () => closeForgets('listen')),
  broken('CONNECT: the largest', 'cuts caller data off', () => ({
    socket: { connect: (real, address, callerData) => real.connect(address, callerData.slice(0, 128)) },
  })),
  broken('CONNECT: a connect', 'is never too early', () => ({
    socket: {
      connect: (real, address, callerData) =>
        instead(WSA.WSAEALREADY, WSA.WSAEWOULDBLOCK)(real.connect(address, callerData)),
    },
  })),
  broken('CONNECT: refuses a socket', 'connects again', () => ({
    socket: {
      connect: (real, address, callerData) => instead(WSA.WSAEISCONN, 0)(real.connect(address, callerData)),
    },
  })),
  broken('CONNECT: refuses the wildcard', 'in the name of TCP', () => ({
    socket: {
      connect: (real, address, callerData) =>
        instead(WSA.WSAEADDRNOTAVAIL, WSA.WSAEHOSTUNREACH)(real.connect(address, callerData)),
    },
  })),
]

function askLate(real: SanSocket, condition: ConditionFunction): ReturnType<SanSocket['accept']> {
  let asked: Parameters<ConditionFunction>[0] | undefined
  const accepted = real.accept((request) => {
    asked = request
    return { decision: 'CF_ACCEPT', calleeData: Uint8Array.of(9, 8) }
  })
  if (asked !== undefined) condition(asked)
  return accepted
}
