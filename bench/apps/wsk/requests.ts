// What the WSK programs share: a client of the subsystem, and requests that go round and round on one IRP.
import {
  Irp,
  STATUS_MORE_PROCESSING_REQUIRED,
  STATUS_SUCCESS,
  WskApplication,
  WskError,
  sockAddr,
  wsk,
} from '../../../src/wsk.ts'
import type { Connection, NtStatus } from '../../../src/wsk.ts'
import { fail, report, serveCommands } from '../control.ts'

/** An IRP for one request after the other. */
export class Repeated {
  readonly #irp = new Irp<number>()
  readonly #start: (irp: Irp<number>) => NtStatus
  readonly #done: (bytes: number) => void
  readonly #failed: (reason: WskError) => void

  /**
   * @param done Hears of every success: how many bytes.
   * @param failed Hears why one failed, and there is no other; the program ends unless said otherwise.
   */
  constructor(
    start: (irp: Irp<number>) => NtStatus,
    done: (bytes: number) => void,
    failed: (reason: WskError) => void = fail,
  ) {
    this.#start = start
    this.#done = done
    this.#failed = failed
  }

  again(): void {
    this.#start(this.#irp.reuse().setCompletionRoutine(this.#completed))
  }

  readonly #completed = ({ ioStatus }: Irp<number>): NtStatus => {
    const { status, information } = ioStatus
    if (status === STATUS_SUCCESS) this.#done(information)
    else this.#failed(new WskError(status, 'go on'))
    return STATUS_MORE_PROCESSING_REQUIRED
  }
}

export async function open({
  host,
  port,
}: {
  readonly host: string
  readonly port: number
}): Promise<Connection> {
  return new WskApplication(wsk()).connect(sockAddr(host, port))
}

/** Listens where the options say, prints the address, and serves commands until told to stop. */
export async function listen(
  { host, port }: { readonly host: string; readonly port: number },
  serve: (connection: Connection) => void,
): Promise<void> {
  serveCommands()
  const listener = await new WskApplication(wsk()).listen({ address: host, port })
  report('listening', listener.address)
  for await (const connection of listener.accept()) serve(connection)
}
