import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { total, UsageHistory } from './usage.svelte'
import { Fake } from '../testing/fake'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

const asked = (fake: Fake) => fake.calls.filter((c) => c.method === 'usage').length

test('usage is polled every 2 s, and only while it is watched', async () => {
  const fake = new Fake()
  const history = new UsageHistory(fake)
  await vi.advanceTimersByTimeAsync(10_000)
  expect(asked(fake)).toBe(0)
  const leave = history.watch()
  await vi.advanceTimersByTimeAsync(4100)
  expect(asked(fake)).toBe(3)
  leave()
  await vi.advanceTimersByTimeAsync(10_000)
  expect(asked(fake)).toBe(3)
})

test('a hidden window does not poll', async () => {
  const fake = new Fake()
  const hidden = vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('hidden')
  const leave = new UsageHistory(fake).watch()
  await vi.advanceTimersByTimeAsync(10_000)
  expect(asked(fake)).toBe(0)
  hidden.mockReturnValue('visible')
  document.dispatchEvent(new Event('visibilitychange'))
  await vi.advanceTimersByTimeAsync(100)
  expect(asked(fake)).toBe(1)
  leave()
  hidden.mockRestore()
})

test('a failed poll and a pause are gaps in the line', async () => {
  const fake = new Fake()
  const history = new UsageHistory(fake)
  const known = () => history.samples.map((s) => !!s.value)
  let leave = history.watch()
  await vi.advanceTimersByTimeAsync(100)
  fake.refusals.usage = { kind: 'other', message: 'gone' }
  await vi.advanceTimersByTimeAsync(2000)
  fake.refusals = {}
  await vi.advanceTimersByTimeAsync(2000)
  expect(known()).toEqual([true, false, true])
  leave()
  await vi.advanceTimersByTimeAsync(60_000)
  leave = history.watch()
  await vi.advanceTimersByTimeAsync(100)
  expect(known()).toEqual([true, false, true, false, true])
  leave()
})

test('five minutes are kept', async () => {
  const fake = new Fake()
  const history = new UsageHistory(fake)
  const leave = history.watch()
  await vi.advanceTimersByTimeAsync(15 * 60_000)
  expect(history.samples.length).toBeLessThanOrEqual(150)
  expect(history.samples.length).toBeGreaterThan(140)
  leave()
})

test('usage is summed over everything, or taken of one VM', () => {
  const u = (name: string, cpu: number) => ({ name, cpu, memory: 1, disk: 2, max: 3 })
  const sample = { at: 0, value: [u('', 0.5), u('web', 1)] }
  expect(total(sample)).toEqual({ cpu: 1.5, memory: 2, disk: 4, max: 6 })
  expect(total(sample, 'web')?.cpu).toBe(1)
  expect(total(sample, 'gone')?.cpu).toBe(0)
  expect(total({ at: 0 })).toBeUndefined()
})
