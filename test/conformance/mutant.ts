import { success } from '../../src/spi/index.ts'
import type { Result, SanProvider, SanSocket, Status, SwitchHandle, Upcalls } from '../../src/spi/index.ts'

type Method = (...args: never[]) => unknown

/** Replacements for methods of `T`: each gets the real object first. */
type Overrides<T> = {
  readonly [K in keyof T as NonNullable<T[K]> extends Method ? K : never]?: (
    real: T,
    ...args: ArgumentsOf<NonNullable<T[K]>>
  ) => ResultOf<NonNullable<T[K]>>
}

type ArgumentsOf<F> = F extends (...args: infer A) => unknown ? A : never
type ResultOf<F> = F extends (...args: never[]) => infer R ? R : never

/** What a provider does wrong. */
export interface Mutation {
  readonly provider?: Overrides<SanProvider>
  readonly socket?: Overrides<SanSocket>
  readonly upcalls?: Overrides<Upcalls>
}

/** What a mutation may look up. */
export interface Surroundings {
  /** The switch's own upcalls. */
  readonly upcalls: () => Upcalls
  readonly handleOf: (real: SanSocket) => SwitchHandle
}

/** A way to break something that its test must see. */
export interface Case {
  /** The clause, or the beginning of the title of a test without one. */
  readonly breaks: string
  readonly how: string
  readonly mutation: (around: Surroundings) => Mutation
}

export function broken(breaks: string, how: string, mutation: Case['mutation']): Case {
  return { breaks, how, mutation }
}

/** Answers `to` where the real call answers `from`. */
export function instead(from: Status, to: Status): (status: Status) => Status {
  return (status) => (status === from ? to : status)
}

/** `close` does nothing to a socket that `call` was made on, and says it did. */
export function closeForgets(call: 'connect' | 'listen'): Mutation {
  const kept = new Set<SanSocket>()
  return {
    socket: {
      connect(real, address, callerData) {
        if (call === 'connect') kept.add(real)
        return real.connect(address, callerData)
      },
      listen(real, backlog) {
        if (call === 'listen') kept.add(real)
        return real.listen(backlog)
      },
      close: (real) => (kept.has(real) ? 0 : real.close()),
    },
  }
}

/** A provider that does what `mutation` says and everything else as `provider` does. */
export function mutant(provider: SanProvider, mutation: (around: Surroundings) => Mutation): SanProvider {
  let upcalls: Upcalls | undefined
  let latest: SwitchHandle | undefined
  const handles = new Map<SanSocket, SwitchHandle | undefined>()
  const wrong = mutation({
    upcalls: () => found(upcalls),
    handleOf: (real) => found(handles.get(real)),
  })

  function adopt(real: SanSocket): SanSocket {
    handles.set(real, latest)
    const accept: Overrides<SanSocket>['accept'] = (socket, condition, pended) => {
      const accepted = (wrong.socket?.accept ?? plainAccept)(socket, condition, pended)
      return accepted.ok ? success({ ...accepted.value, socket: adopt(accepted.value.socket) }) : accepted
    }
    return overridden<SanSocket>(real, { ...wrong.socket, accept })
  }

  return overridden<SanProvider>(provider, {
    startup(real, request) {
      upcalls = request.upcalls
      const watched = overridden<Upcalls>(request.upcalls, {
        ...wrong.upcalls,
        createSocketHandle(switchUpcalls, context) {
          const make = wrong.upcalls?.createSocketHandle ?? ((own, of) => own.createSocketHandle(of))
          const made = make(switchUpcalls, context)
          if (made.ok) latest = made.value
          return made
        },
      })
      const startup = wrong.provider?.startup ?? ((own, asked) => own.startup(asked))
      return startup(real, { ...request, upcalls: watched })
    },
    cleanup: wrong.provider?.cleanup ?? ((real) => real.cleanup()),
    ...(wrong.provider?.evict === undefined ? {} : { evict: wrong.provider.evict }),
    addressList: wrong.provider?.addressList ?? ((real) => real.addressList()),
    socket(real, request): Result<SanSocket> {
      // What a mutation returns here stays as it is.
      if (wrong.provider?.socket !== undefined) return wrong.provider.socket(real, request)
      const made = real.socket(request)
      return made.ok ? success(adopt(made.value)) : made
    },
  })
}

const plainAccept: NonNullable<Overrides<SanSocket>['accept']> = (real, condition, pended) =>
  real.accept(condition, pended)

function found<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the mutation asks too early')
  return value
}

function overridden<T extends object>(real: T, overrides: Overrides<T>): T {
  const replacements = new Map<PropertyKey, unknown>(Object.entries(overrides))
  return new Proxy(real, {
    get(target, key) {
      const replacement = replacements.get(key)
      if (typeof replacement === 'function') {
        return (...args: unknown[]): unknown => Reflect.apply(replacement, undefined, [target, ...args])
      }
      const member: unknown = Reflect.get(target, key, target)
      if (typeof member !== 'function') return member
      return (...args: unknown[]): unknown => Reflect.apply(member, target, args)
    },
  })
}
