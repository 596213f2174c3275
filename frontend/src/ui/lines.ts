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

// Letters that are two columns wide, as terminals draw them.
const wide =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Extended_Pictographic}/u
const plain = /^[\x20-\x7e]*$/

// fold breaks lines into rows of so many columns. starts has the first row of each line, and the number of rows.
export function fold(lines: readonly string[], columns: number): { rows: string[]; starts: number[] } {
  const rows: string[] = []
  const starts: number[] = []
  for (const line of lines) {
    starts.push(rows.length)
    if ((line.length * 2 <= columns && !line.includes('\t')) || (line.length <= columns && plain.test(line)))
      rows.push(line)
    else if (plain.test(line)) for (let at = 0; at < line.length; at += columns) rows.push(line.slice(at, at + columns))
    else rows.push(...foldWide(line, columns))
  }
  starts.push(rows.length)
  return { rows, starts }
}

function foldWide(line: string, columns: number): string[] {
  const rows: string[] = []
  let [row, used] = ['', 0]
  for (const letter of line) {
    const size = letter === '\t' ? 8 - (used % 8) : wide.test(letter) ? 2 : 1
    if (used + size > columns) {
      rows.push(row)
      ;[row, used] = ['', 0]
    }
    row += letter
    used += size
  }
  return [...rows, row]
}

// pieces splits a line at the matches of a search, so that they can be marked without HTML.
export function pieces(line: string, wanted: string): { text: string; hit: boolean }[] {
  if (!wanted) return [{ text: line, hit: false }]
  const pattern = new RegExp(`(${wanted.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')})`, 'i')
  return line.split(pattern).map((text, i) => ({ text, hit: i % 2 === 1 }))
}
