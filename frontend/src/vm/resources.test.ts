import { expect, test } from 'vitest'
import { GiB } from '../ui/format'
import { changes, outOfRange, resources, suggested } from './resources'

test('a reverted change is no change', () => {
  const from = { cpus: 2, memory: 4 * GiB, disk: 100 * GiB }
  expect(changes(from, { ...from, cpus: 4 })).toEqual([{ field: 'cpus', label: 'Processors', from: '2', to: '4' }])
  expect(changes(from, { ...from })).toEqual([])
})

test('a value that is out of range says what is allowed', () => {
  const [cpus] = resources
  expect(outOfRange(cpus!, 9, 1, 8)).toBe('Processors must be between 1 and 8.')
  expect(outOfRange(cpus!, NaN, 1, 8)).toBeDefined()
  expect(outOfRange(cpus!, 8, 1, 8)).toBeUndefined()
})

test('a small host is not offered more than it has', () => {
  const { first, least, most } = suggested({ cpus: 2, memory: 2 * GiB, disk: 20.5 * GiB })
  expect(first).toEqual({ cpus: 2, memory: GiB, disk: 20 * GiB })
  for (const { field } of resources) {
    expect(least[field]).toBeLessThanOrEqual(first[field])
    expect(first[field]).toBeLessThanOrEqual(most[field])
  }
})
