import { expect, test } from 'vitest'
import { bytes, count, duration, since, step, time } from './format'

test.each([
  [0, '0 B'],
  [1023, '1,023 B'],
  [1024, '1 KiB'],
  [1536, '1.5 KiB'],
  [190 * 1024 ** 2, '190 MiB'],
  [100 * 1024 ** 3, '100 GiB'],
  [3 * 1024 ** 5, '3 PiB'],
  [NaN, '–'],
  [-1, '–'],
])('bytes(%d) is %s', (n, words) => expect(bytes(n)).toBe(words))

test.each([
  [0, '0 s'],
  [0.9, '0 s'],
  [8, '8 s'],
  [60, '1 min'],
  [125, '2 min 5 s'],
  [3 * 3600 + 20 * 60 + 5, '3 h 20 min'],
  [3600, '1 h'],
  [3605, '1 h'],
  [86400 + 4 * 3600, '1 day 4 h'],
  [-5, '0 s'],
])('duration(%d) is %s', (s, words) => expect(duration(s)).toBe(words))

test('a step shows the progress', () => {
  const MiB = 1024 ** 2
  expect(step({ phase: 'image', step: 1, steps: 5, bytes: 190 * MiB, total: 320 * MiB, elapsed: 3 })).toBe(
    'Step 1 of 5 · image · 190 MiB of 320 MiB (59 %)',
  )
  expect(step({ phase: 'boot', elapsed: 3 })).toBe('boot')
  expect(step({ phase: 'prune', elapsed: 3 })).toMatch(/^Deleting what is not used/)
  expect(step({ phase: 'image', bytes: 5 * MiB, elapsed: 3 })).toBe('image · 5 MiB')
  // A wrong total never gives more than 100 %.
  expect(step({ phase: 'image', bytes: 30, total: 20, elapsed: 0 })).toBe('image · 30 B of 20 B (100 %)')
})

test('counts use singular and plural', () => {
  expect([0, 1, 2].map((n) => count(n, 'virtual machine'))).toEqual([
    '0 virtual machines',
    '1 virtual machine',
    '2 virtual machines',
  ])
})

test('an invalid time is shown as it is', () => expect(time('soon')).toBe('soon'))

test('times are relative until they are old', () => {
  const now = Date.parse('2026-11-30T12:00:00Z')
  expect(since('2026-11-30T11:59:30Z', now)).toBe('just now')
  expect(since('2026-11-30T11:59:00Z', now)).toBe('1 minute ago')
  expect(since('2026-11-29T11:00:00Z', now)).toBe('1 day ago')
  expect(since('2026-01-02T11:00:00Z', now)).toContain('2026')
  expect(since(undefined, now)).toBe('')
})
