import { expect, test } from 'vitest'
import { fold, Lines, matches, pieces } from './lines'

test('a line that comes in pieces is one line', () => {
  const log = new Lines()
  log.add('one\ntw')
  expect(log.lines).toEqual(['one'])
  log.add('o\n')
  expect(log.lines).toEqual(['one', 'two'])
  log.add('last')
  log.end()
  expect(log.lines).toEqual(['one', 'two', 'last'])
})

test('the log and its lines are bounded', () => {
  const log = new Lines(100, 50)
  for (let i = 0; i < 1000; i++) log.add(`line ${i}\n`)
  expect(log.lines).toHaveLength(100)
  expect(log.lines.at(-1)).toBe('line 999')
  expect(log.dropped).toBe(900)
  for (let i = 0; i < 1000; i++) log.add('x'.repeat(100))
  log.end()
  expect(log.lines.at(-1)).toHaveLength(50)
})

test('colours and cursor moves of a console are removed', () => {
  const log = new Lines()
  log.add('\u001b[0;32m  OK  \u001b[0m Started \u001b]0;title\u0007it.\r\n10%\r50%\r100%\n')
  expect(log.lines).toEqual(['  OK   Started it.', '100%'])
})

test('a search ignores case and marks every match', () => {
  expect(matches(['an Error', 'fine', 'error: ERROR'], 'error')).toEqual([0, 2])
  expect(matches(['a'], '')).toEqual([])
  const cut = pieces('error: ERROR!', 'error')
  expect(cut.map((p) => p.text).join('')).toBe('error: ERROR!')
  expect(cut.filter((p) => p.hit).map((p) => p.text)).toEqual(['error', 'ERROR'])
})

test('long lines are folded at the width of the pane, and wide letters count twice', () => {
  expect(fold(['abcdefg', '', 'xy'], 3)).toEqual({ rows: ['abc', 'def', 'g', '', 'xy'], starts: [0, 3, 4, 5] })
  expect(fold(['漢字ab'], 4).rows).toEqual(['漢字', 'ab'])
  expect(fold(['\tab'], 9).rows).toEqual(['\ta', 'b'])
})
