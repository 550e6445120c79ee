import type {
  HostSocket,
  ProviderLimits,
  SanProvider,
  ServedSubnet,
  TcpipOwner,
  TcpipProvider,
  Upcalls,
} from '../../src/spi/index.ts'
import type { LoopbackNetwork } from '../../src/providers/loopback/index.ts'
import { loopback } from '../../src/providers/loopback/index.ts'
import { tcpip } from '../../src/providers/tcpip/index.ts'
import { fault } from '../../src/providers/wrap/index.ts'
import type { Fault } from '../../src/providers/wrap/index.ts'
import { createSwitch } from '../../src/switch/switch.ts'
import type { Switch, SwitchOptions } from '../../src/switch/switch.ts'
import type { Schedule } from '../../src/switch/network-event.ts'
import { Winsock } from '../../src/faces/winsock/index.ts'
import type { ShmProvider } from '../../src/providers/shm/index.ts'
import { shmProvider } from '../support/shm-provider.ts'
import { Journal, spy } from '../switch/spy.ts'
import { valueOf } from '../winsock/pair.ts'

/** What a computer has that others have not. */
export interface ComputerOptions {
  /** What goes wrong in its SAN provider. */
  readonly faults?: readonly Fault[]
  /** Stands between switch and provider, below the journal. */
  readonly wrap?: (provider: SanProvider) => SanProvider
  /** What its provider says it serves, each time it is asked. */
  readonly serves?: () => readonly ServedSubnet[]
  /** Of the loopback provider; shared memory is as it is. */
  readonly limits?: Partial<ProviderLimits>
  /** True: loopback reads of the peer's application memory take their time. */
  readonly slowReads?: boolean
  /** How long shared memory waits for the next owner of a connection, in ms. */
  readonly moveMs?: number
  /** Its switch starts without the provider, which {@link Computer.provider} is to be added to it. */
  readonly without?: boolean
  /** Further providers, after the carrier's. */
  readonly others?: readonly SanProvider[]
  readonly options?: Partial<SwitchOptions>
}

/** A Winsock of its own over a switch of its own, whose every call across TCP/IP and the SAN is in one journal. */
export interface Computer {
  readonly winsock: Winsock
  readonly switch: Switch
  readonly tcpip: TcpipProvider
  /** The SAN provider as its switch has it. */
  readonly provider: SanProvider
  /** The provider itself: nothing in between. */
  readonly raw: SanProvider
  /** The upcalls that its switch has handed to the provider. */
  readonly upcalls: () => Upcalls
  readonly journal: Journal
  /** Ends everything; what is open is closed. */
  end(): void
}

/** Who carries what is switched. Loopback: the network that both ends are on. */
export type Carrier =
  { readonly name: 'loopback'; readonly network: LoopbackNetwork } | { readonly name: 'shm' }

/** Longer than a play: neither who carries a connection nor whether it stands is to depend on a timer. */
const PATIENCE_MS = 60_000

export function computer(carrier: Carrier, options: ComputerOptions = {}): Computer {
  const journal = new Journal()
  let upcalls: Upcalls | undefined
  const { raw, schedule, release } = providerOf(carrier, options)
  let lower = told(raw, options.serves, (table) => (upcalls = table))
  if (options.wrap !== undefined) lower = options.wrap(lower)
  const faulty = options.faults === undefined ? lower : fault(lower, { plan: options.faults })
  const provider = { ...spy(faulty, 'san', journal), name: carrier.name }
  const others = (options.others ?? []).map((other, i) => spy(other, `san${i + 2}`, journal))
  const theSwitch = createSwitch({
    san: options.without === true ? others : [provider, ...others],
    connectTimeoutMs: PATIENCE_MS,
    negotiationTimeoutMs: PATIENCE_MS,
    ...(schedule !== undefined && { schedule }),
    ...options.options,
  })
  let hasEnded = false
  const open = new Set<HostSocket>()
  const spied = spiedTcpip(journal, open)
  const winsock = new Winsock({
    switch: theSwitch,
    tcpip: spied,
    ...(schedule !== undefined && { schedule }),
    onCleanup: () => {
      theSwitch.close()
    },
  })
  valueOf(winsock.startup())
  return {
    winsock,
    switch: theSwitch,
    tcpip: spied,
    provider,
    raw,
    journal,
    upcalls: () => {
      if (upcalls === undefined) throw new Error('Cannot make upcalls: the provider was not started')
      return upcalls
    },
    end: () => {
      if (hasEnded) return
      hasEnded = true
      while (winsock.cleanup() === 0) continue
      for (const socket of open) socket.close()
      theSwitch.close()
      release()
    },
  }
}

interface Made {
  readonly raw: SanProvider
  readonly schedule: Schedule | undefined
  readonly release: () => void
}

function providerOf(carrier: Carrier, { limits, slowReads, moveMs }: ComputerOptions): Made {
  if (carrier.name === 'loopback') {
    const { network } = carrier
    const raw = loopback({ network, ...(limits && { limits }), slowReads: slowReads === true })
    return { raw, schedule: undefined, release: () => undefined }
  }
  const pool = idleProviders(moveMs)
  const raw =
    pool.pop() ?? shmProvider({ spinMicroseconds: 0, ...(moveMs !== undefined && { limits: { moveMs } }) })
  raw.keepAlive(true)
  return {
    raw,
    schedule: raw.schedule,
    release: () => {
      raw.keepAlive(false)
      pool.push(raw)
    },
  }
}

/** Shared-memory providers that no computer uses, by their patience: each has a poller for the life of the process. */
const idle = new Map<number | undefined, ShmProvider[]>()

function idleProviders(moveMs: number | undefined): ShmProvider[] {
  const known = idle.get(moveMs)
  if (known !== undefined) return known
  const made: ShmProvider[] = []
  idle.set(moveMs, made)
  return made
}

/** `provider`, which serves what the computer says, and whose upcalls are told. */
function told(
  provider: SanProvider,
  serves: ComputerOptions['serves'],
  onUpcalls: (upcalls: Upcalls) => void,
): SanProvider {
  return {
    name: provider.name,
    startup: (request) => {
      onUpcalls(request.upcalls)
      return provider.startup(request)
    },
    cleanup: () => provider.cleanup(),
    addressList: () => {
      const known = provider.addressList()
      return serves === undefined ? known : { ok: true, value: serves() }
    },
    socket: (request) => provider.socket(request),
    ...(provider.evict && { evict: provider.evict.bind(provider) }),
    ...(provider.probe && { probe: provider.probe.bind(provider) }),
  }
}

/** The TCP/IP provider, whose sockets keep a journal. */
function spiedTcpip(journal: Journal, open: Set<HostSocket>): TcpipProvider {
  const provider = tcpip()
  return {
    socket: (family, owner: TcpipOwner): HostSocket => {
      const socket = provider.socket(family, owner)
      open.add(socket)
      const record = <T>(name: string, args: readonly unknown[], proceed: () => T): T =>
        journal.record({ who: 'tcp', direction: 'down', name, socket: 0, args }, proceed)
      return {
        reserve: (to) => record('reserve', [to], () => socket.reserve(to)),
        localAddress: () => socket.localAddress(),
        listen: (backlog) => record('listen', [backlog], () => socket.listen(backlog)),
        connect: (to) => record('connect', [to], () => socket.connect(to)),
        release: () => {
          record('release', [], () => {
            socket.release()
          })
        },
        bind: (address, ipv6Only) => record('bind', [address], () => socket.bind(address, ipv6Only)),
        setOption: (option, value) => socket.setOption(option, value),
        close: () => {
          open.delete(socket)
          socket.close()
        },
      }
    },
  }
}
