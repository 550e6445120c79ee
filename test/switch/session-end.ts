import type { Session, SessionOwner } from '../../src/switch/session/session.ts'

/** Whoever uses a session: counts what it is told. */
export class End implements SessionOwner {
  readonly session: Session
  agreedCalls = 0
  readableCalls = 0
  writableCalls = 0
  urgentCalls = 0
  /** What to do when told; for a reader that reads at once. */
  onReadable: (() => void) | undefined

  constructor(session: Session) {
    this.session = session
    session.attach(this)
  }

  agreed(): void {
    this.agreedCalls += 1
  }

  readable(): void {
    this.readableCalls += 1
    this.onReadable?.()
  }

  writable(): void {
    this.writableCalls += 1
  }

  urgent(): void {
    this.urgentCalls += 1
  }

  /** Writes all of `text`, which must fit. */
  say(text: string): void {
    const bytes = Buffer.from(text)
    const taken = this.session.write([bytes])
    if (taken !== bytes.length) throw new Error(`write took ${taken} of ${bytes.length} bytes`)
  }

  /** Everything that can be read now, in pieces of at most `maxBytes`. */
  readAll(maxBytes = 1 << 20): Buffer {
    const pieces: Buffer[] = []
    for (;;) {
      const piece = this.session.read(maxBytes)
      if (piece === undefined) return Buffer.concat(pieces)
      pieces.push(piece)
    }
  }

  /** {@link readAll} as text, and what follows it. */
  hear(): { readonly text: string; readonly then: 'more' | 'end' | 'reset' } {
    return { text: this.readAll().toString(), then: this.session.readEnd() }
  }
}
