/** Marks a native handle that is nobody's business but its maker's: no face looks at it. */
const UNSWITCHED = Symbol.for('sockswitch.unswitched')

/** Keeps every face, of this copy of sockswitch or another, away from `handle`. */
export function leaveAlone(handle: object): void {
  Object.defineProperty(handle, UNSWITCHED, { value: true })
}

export function isLeftAlone(handle: object): boolean {
  return UNSWITCHED in handle
}
