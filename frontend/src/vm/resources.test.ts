import { expect, test } from 'vitest'
import { GiB } from '../ui/format'
import { changes, outOfRange, resources, suggested } from './resources'

test('a reverted change is no change', () => {
  const from = { cpus: 2, memory: 4 * GiB, disk: 100 * GiB }
  expect(changes(from, { ...from, cpus: 4 })).toEqual([{ field: 'cpus', label: 'Processors', from: '2', to: '4' }])
  expect(changes(from, { ...from })).toEqual([])
})

test('a value that is out of range says what is allowed', () => {
  const one = { cpus: 1, memory: 1, disk: 1 }
  const bounds = { least: one, most: { ...one, cpus: 8 } }
  const of = (cpus: number) => outOfRange(resources[0]!, { ...one, cpus }, bounds)
  expect(of(9)).toBe('Processors must be between 1 and 8.')
  expect(of(NaN)).toBeDefined()
  expect(of(8)).toBeUndefined()
})

test('a small host is not offered more than it has', () => {
  const { first, least, most } = suggested({ cpus: 2, memory: 2 * GiB, disk: 20.5 * GiB })
  expect(first).toEqual({ cpus: 2, memory: GiB, disk: 20 * GiB })
  for (const { field } of resources) {
    expect(least[field]).toBeLessThanOrEqual(first[field])
    expect(first[field]).toBeLessThanOrEqual(most[field])
  }
})
