/** Thrown when sockswitch contradicts itself: a bug here, never a condition of the network or the peer. */
class InvariantError extends Error {
  override readonly name = 'InvariantError'
}

/** Ends the caller when `condition` does not hold. `what` completes "Invariant broken: ...". */
export function invariant(condition: unknown, what: string): asserts condition {
  if (condition === false || condition === undefined || condition === null) {
    throw new InvariantError(`Invariant broken: ${what}`)
  }
}
