// The last lines of an endless log.

// Escape sequences for colours, cursor moves and titles, which a log pane does not show.
/* eslint-disable no-control-regex */
const escapes =
  /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-_])|[\u0000-\u0008\u000b\u000c\u000e-\u001a\u007f]/g
/* eslint-enable no-control-regex */

export class Lines {
  readonly lines: string[] = []
  dropped = 0
  #rest = ''

  constructor(
    private maxLines = 5000,
    private maxLineLength = 4000,
  ) {}

  // add takes any piece of text. Text after the last line end is kept until its line ends.
  add(text: string) {
    const parts = (this.#rest + text).split('\n')
    this.#rest = (parts.pop() ?? '').slice(-this.maxLineLength)
    for (const part of parts) this.#push(part)
    this.#bound()
  }

  // end adds the last line if it has no line end.
  end() {
    if (this.#rest) this.#push(this.#rest)
    this.#rest = ''
    this.#bound()
  }

  #push(line: string) {
    const plain = line.replace(escapes, '').replace(/\r+$/, '')
    this.lines.push(plain.slice(plain.lastIndexOf('\r') + 1).slice(0, this.maxLineLength))
  }

  #bound() {
    const over = this.lines.length - this.maxLines
    if (over <= 0) return
    this.lines.splice(0, over)
    this.dropped += over
  }
}

// matches returns the indices of the lines in which a search has matches.
export function matches(lines: readonly string[], wanted: string): number[] {
  const lower = wanted.toLowerCase()
  return wanted ? lines.flatMap((line, i) => (line.toLowerCase().includes(lower) ? [i] : [])) : []
}

// pieces splits a line at the matches of a search, so that they can be marked without HTML.
export function pieces(line: string, wanted: string): { text: string; hit: boolean }[] {
  if (!wanted) return [{ text: line, hit: false }]
  const pattern = new RegExp(`(${wanted.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')})`, 'i')
  return line.split(pattern).map((text, i) => ({ text, hit: i % 2 === 1 }))
}
