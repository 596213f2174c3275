import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Operation, State } from './api'
import { endedByItself, Store } from './store.svelte'
import { Fake } from '../testing/fake'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

function started() {
  const fake = new Fake('usual', 100)
  const store = new Store(fake)
  fake.start()
  return { fake, store }
}

test('the store draws from the last state alone', async () => {
  const { fake, store } = started()
  expect(store.link).toBe('up')
  expect(store.vm('web')?.state).toBe('Running')
  await fake.call('vm.stop', { name: 'web' })
  expect(store.vm('web')?.state).toBe('Stopping')
  await vi.advanceTimersByTimeAsync(1000)
  expect(store.vm('web')?.state).toBe('Stopped')
})

test('streams are opened again after the connection was lost', () => {
  const { fake, store } = started()
  const epoch = store.epoch
  fake.link('lost')
  expect(store.serviceUp).toBe(false)
  fake.link('up')
  expect(store.serviceUp).toBe(true)
  expect(store.epoch).toBe(epoch + 1)
})

test('elapsed time counts between two States, and stops with the operation', async () => {
  const { fake, store } = started()
  const operation: Operation = {
    id: 'op',
    verb: 'start',
    object: 'web',
    title: 'Start web',
    state: 'running',
    progress: { phase: 'boot', elapsed: 7 },
    started: '',
    background: false,
  }
  fake.push({ operations: [operation] })
  expect(store.elapsed(operation)).toBe(7)
  await vi.advanceTimersByTimeAsync(3000)
  expect(store.elapsed(operation)).toBe(10)
  const done = { ...operation, state: 'done' as const }
  fake.push({ operations: [done] })
  await vi.advanceTimersByTimeAsync(3000)
  expect(store.elapsed(done)).toBe(7)
  expect(vi.getTimerCount()).toBe(0) // no timer runs without an operation
})

test('the elapsed time of a VM counts, whoever began the step', async () => {
  const { fake, store } = started()
  const vms = fake.state.vms
  const busy = { ...vms[0]!, progress: { phase: 'boot', elapsed: 7 } }
  fake.push({ vms: [busy, ...vms.slice(1)] })
  expect(store.vmElapsed(busy)).toBe(7)
  await vi.advanceTimersByTimeAsync(3000)
  expect(store.vmElapsed(busy)).toBe(10)
  fake.push({ vms: vms.map((vm) => ({ ...vm, progress: undefined })) })
  expect(vi.getTimerCount()).toBe(0)
})

test('passed checks are not findings', async () => {
  const { store } = started()
  await store.diagnose()
  expect(store.findings.map((f) => f.id)).toEqual(['disk-almost-full', 'stale-hostagent'])
})

test('failed diagnostics say why, and keep the last report', async () => {
  const { fake, store } = started()
  await store.diagnose()
  fake.refusals.diagnose = { kind: 'other', message: 'no' }
  await store.diagnose()
  expect(store.reportProblem?.message).toBe('no')
  expect(store.findings).toHaveLength(2)
  expect(store.checking).toBe(false)
})

test('settled waits for the end of an operation, even if the State does not have it yet', async () => {
  const { fake, store } = started()
  const ends: string[] = []
  const o = {
    id: 'op',
    verb: 'change',
    object: 'web',
    title: '',
    progress: { phase: '', elapsed: 0 },
    started: '',
    background: false,
  } as const
  void store.settled('op').then((done) => ends.push(`op ${done}`))
  fake.push()
  await vi.advanceTimersByTimeAsync(0)
  expect(ends).toEqual([])
  fake.push({ operations: [{ ...o, state: 'running' }] })
  await vi.advanceTimersByTimeAsync(0)
  expect(ends).toEqual([])
  fake.push({ operations: [{ ...o, state: 'failed' }] })
  await vi.advanceTimersByTimeAsync(0)
  expect(ends).toEqual(['op false'])
  fake.push({ operations: [{ ...o, state: 'done' }] })
  expect(await store.settled('op')).toBe(true)
  // Another instance has other operations, so this one does not count as succeeded.
  fake.push({ operations: [{ ...o, state: 'running' }] })
  const left = store.settled('op')
  fake.push({ operations: [] })
  expect(await left).toBe(false)
})

const state = (service: State['service']['state'], operations: Partial<Operation>[] = [], instance = 'default') =>
  ({ instance, service: { state: service }, operations }) as State

test.each<[string, State | undefined, State, boolean, boolean]>([
  ['killed', state('running'), state('stopped'), false, true],
  ['broken', state('running'), state('broken'), false, true],
  ['still down', state('stopped'), state('stopped'), true, true],
  ['up again', state('stopped'), state('starting'), true, false],
  ['stopped by a person', state('running'), state('stopped', [{ verb: 'stop-service' }]), false, false],
  ['reset by a person', state('running'), state('stopped', [{ verb: 'reset-service' }]), false, false],
  ['stopping', state('running'), state('stopping'), false, false],
  ['stopped in the proper way by another client', state('stopping'), state('stopped'), false, false],
  ['down when the page opened', undefined, state('stopped'), false, false],
  ['another instance', state('running'), state('stopped', [], 'other'), false, false],
])('a service that is %s', (_, before, after, already, ended) => {
  expect(endedByItself(already, before, after)).toBe(ended)
})
