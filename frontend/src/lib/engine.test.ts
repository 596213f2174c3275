import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Engine } from './engine.svelte'
import { Store } from './store.svelte'
import { Fake } from '../testing/fake'
import { container } from '../testing/fakeEngine'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

function started(scene: 'usual' | 'many' | 'first' | 'stopped' = 'usual') {
  const fake = new Fake(scene, 100)
  const store = new Store(fake)
  fake.start()
  return { fake, store }
}

test('the engine’s objects come sorted, and follow changes', async () => {
  const { fake, store } = started()
  expect(store.engine.known).toBe(true)
  const names = store.engine.containers.map((c) => c.name)
  expect(names).toEqual([...names].sort())
  expect(names).toHaveLength(12)
  const web = store.engine.containers.find((c) => c.name === 'shop-web-1')!
  await fake.call('container.stop', { ids: [web.object] })
  expect(store.engine.container(web.object)?.state).toBe('exited')
  await fake.call('container.delete', { ids: [web.object] })
  expect(store.engine.container(web.object)).toBeUndefined()
  expect(store.app?.counts).toEqual({ running: 5, total: 11 })
})

test('rows that have not changed stay the same objects, also after the connection was lost', async () => {
  const { fake, store } = started('many')
  const before = new Map(store.engine.containers.map((c) => [c.object, c]))
  const [first] = store.engine.containers
  await fake.call('container.start', { ids: [first!.object] })
  fake.pushEngine()
  const changed = store.engine.containers.filter((c) => before.get(c.object) !== c)
  expect(changed.map((c) => c.name)).toEqual([first!.name])
})

test('1,000 containers are filtered and changed in less than a frame', async () => {
  const { store } = started('many')
  const engine = store.engine
  const begun = performance.now()
  engine.take({ known: true, containers: [container('search-api-0001', 'other')] })
  const found = engine.containers.filter((c) => c.name.includes('search'))
  expect(performance.now() - begun).toBeLessThan(50)
  expect(found.length).toBeGreaterThan(99)
})

test('a stopped engine has no objects, and says so', async () => {
  const { fake, store } = started('stopped')
  expect([store.engine.known, store.engine.reason]).toEqual([false, 'The container engine is stopped.'])
  await fake.call('app.start', {})
  await vi.advanceTimersByTimeAsync(2000)
  expect(store.app?.state).toBe('running')
  expect(store.engine.known).toBe(true)
  expect(store.engine.containers).toHaveLength(12)
})

test('before the first event nothing is known, and there is no reason', () => {
  const engine = new Engine()
  expect([engine.known, engine.reason, engine.problem, engine.containers.length]).toEqual([
    false,
    undefined,
    undefined,
    0,
  ])
})
