import { expect, test } from 'vitest'
import { GiB, MiB } from './format'
import { grid } from './slider'

test('a slider stops at whole steps and keeps to bounds between them', () => {
  const g = grid(GiB, 16 * MiB, 91.1 * GiB)
  expect([g.min, g.max]).toEqual([0, 92 * GiB])
  expect(g.snap(20.02 * GiB)).toBe(20 * GiB)
  expect(g.snap(0)).toBe(16 * MiB)
  expect(g.snap(92 * GiB)).toBe(91.1 * GiB)
})
