import type { Command } from 'commander'

/** Lets `program` complain as everything here does: `Cannot <action>: <reason>`. */
export function complainAs(program: Command, action: string): Command {
  return program.configureOutput({
    outputError: (text, write) => {
      write(text.startsWith('Cannot ') ? text : `Cannot ${action}: ${text.replace(/^error: /, '')}`)
    },
  })
}

/** Ends the process when an argument starts as an option and is none of `known`. */
export function refuseOptions(action: string, known: readonly string[] = []): void {
  const unknown = process.argv.slice(2).find((word) => word.startsWith('-') && !known.includes(word))
  if (unknown === undefined) return
  console.error(`Cannot ${action}: unknown option '${unknown}'`)
  process.exit(2)
}

/** Ends the process when one of `words` is no whole number above 0. */
export function assertCounts(action: string, words: readonly string[]): void {
  const wrong = words.find((word) => !Number.isSafeInteger(Number(word)) || Number(word) < 1)
  if (wrong === undefined) return
  console.error(`Cannot ${action}: '${wrong}' is not a whole number above 0`)
  process.exit(2)
}
