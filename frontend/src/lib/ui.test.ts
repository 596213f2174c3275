import { expect, test } from 'vitest'
import { changes, GiB, grid, MiB, modest, outside, knobs } from '../vm/resources'
import { parse, requested, vmHref } from './ui.svelte'
import { total } from '../usage/usage.svelte'
import { vmTone, vmWord } from './labels'

test.each([
  ['', { page: 'overview', vm: undefined, tab: 'summary' }],
  ['#/machines', { page: 'machines', vm: undefined, tab: 'summary' }],
  [vmHref('web.1', 'logs'), { page: 'machines', vm: 'web.1', tab: 'logs' }],
  ['#/machines/web/nonsense', { page: 'machines', vm: 'web', tab: 'summary' }],
  ['#/settings/web', { page: 'settings', vm: undefined, tab: 'summary' }],
  ['#/nowhere', { page: 'overview', vm: undefined, tab: 'summary' }],
  ['#/machines/%', { page: 'machines', vm: '%', tab: 'summary' }],
])('the address %s', (hash, route) => expect(parse(hash)).toEqual(route))

test.each([
  ['#ask=quit', { ask: 'quit' }],
  ['#operation=op-1&page=machines', { operation: 'op-1', page: 'machines' }],
  ['#/machines', undefined],
  ['#x=1', undefined],
])('what %s asks for', (hash, request) => expect(requested(hash)).toEqual(request))

test('a change that is reverted is none', () => {
  const from = { cpus: 2, memory: 4 * GiB, disk: 100 * GiB }
  expect(changes(from, { ...from, cpus: 4 })).toEqual([{ field: 'cpus', label: 'Processors', from: '2', to: '4' }])
  expect(changes(from, { ...from })).toEqual([])
})

test('what is outside says what is allowed', () => {
  const [cpus] = knobs
  expect(outside(cpus!, 9, 1, 8)).toBe('Processors can be 1 to 8 on this computer.')
  expect(outside(cpus!, NaN, 1, 8)).toBeDefined()
  expect(outside(cpus!, 8, 1, 8)).toBeUndefined()
})

test('a small host is not offered more than it has', () => {
  const { first, least, most } = modest({ cpus: 2, memory: 2 * GiB, disk: 20.5 * GiB })
  expect(first).toEqual({ cpus: 2, memory: GiB, disk: 20 * GiB })
  for (const { field } of knobs) {
    expect(least[field]).toBeLessThanOrEqual(first[field])
    expect(first[field]).toBeLessThanOrEqual(most[field])
  }
})

test('usage is summed over all, or of one', () => {
  const u = (name: string, cpu: number) => ({ name, cpu, memory: 1, disk: 2, max: 3 })
  const sample = { at: 0, usage: [u('', 0.5), u('web', 1)] }
  expect(total(sample)).toEqual({ cpu: 1.5, memory: 2, disk: 4, max: 6 })
  expect(total(sample, 'web')?.cpu).toBe(1)
  expect(total(sample, 'gone')?.cpu).toBe(0)
  expect(total({ at: 0 })).toBeUndefined()
})

test('a state that nobody foresaw is shown as it is', () => {
  expect(vmWord({ state: 'Hibernating' })).toBe('Hibernating')
  expect(vmTone({ state: 'Hibernating' })).toBe('busy')
  expect(vmTone({ state: 'Running', problem: 'disk full' })).toBe('warning')
})

test('a slider stops at whole units, and keeps to odd bounds', () => {
  const disk = knobs.find((k) => k.field === 'disk')!
  const g = grid(disk, 16 * MiB, 91.1 * GiB)
  expect([g.min, g.max]).toEqual([0, 92 * GiB])
  expect(g.snap(20.02 * GiB)).toBe(20 * GiB)
  expect(g.snap(0)).toBe(16 * MiB)
  expect(g.snap(92 * GiB)).toBe(91.1 * GiB)
})
