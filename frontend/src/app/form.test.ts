import { waitFor } from '@testing-library/svelte'
import { expect, test } from 'vitest'
import type { Method } from '../lib/transport'
import { Store } from '../lib/store.svelte'
import { Fake } from '../testing/fake'
import { AppSettingsForm } from './form.svelte'

async function loaded(fake = new Fake('usual', 20)) {
  const store = new Store(fake)
  fake.start()
  const form = new AppSettingsForm(store)
  await form.load()
  return { fake, form }
}

test('a value that is the default again follows the host', async () => {
  const { fake, form } = await loaded()
  form.set({ cpus: 6 })
  expect(form.change()).toEqual({ cpus: 6 })
  await form.save()
  await form.load()
  expect(form.dirty).toBe(false)
  form.defaults()
  expect(form.change()).toEqual({ cpus: null })
  expect(fake.calls.findLast((c) => c.method === 'app.set')?.params).toEqual({ cpus: 6 })
})

test('only what needs it is announced as a restart', async () => {
  const { form } = await loaded()
  form.set({ bindAddresses: ['192.168.1.10'] })
  expect(form.restarts).toBe(false)
  form.set({ memory: 8 * 1024 ** 3 })
  expect(form.restarts).toBe(true)
  form.revert()
  expect(form.dirty).toBe(false)
})

test('a wrong folder is named, and its row is marked', async () => {
  const { fake, form } = await loaded()
  form.set({
    mounts: [
      { path: '/srv', writable: false },
      { path: 'projects', writable: true },
    ],
  })
  expect(await form.save()).toBeUndefined()
  expect(form.of('mounts')).toEqual(['projects: must be absolute or begin with ~/'])
  expect([0, 1].map((row) => form.wrongRow('mounts', row))).toEqual([false, true])
  expect(fake.calls.some((c) => c.method === 'app.set')).toBe(false)
})

test('a resource that is out of range is not sent', async () => {
  const { fake, form } = await loaded()
  form.set({ cpus: 99 })
  expect(await form.save(true)).toBeUndefined()
  expect(fake.calls.some((c) => c.method === 'app.set')).toBe(false)
})

test('an engine that is not available can’t be chosen, and the reason is known', async () => {
  const { fake, form } = await loaded()
  expect(form.refusedEngines).toEqual({})
  const call = fake.call.bind(fake)
  fake.call = (async (method: Method, params: never) =>
    method === 'app.check'
      ? [{ field: 'engine', message: 'this service can’t run it' }]
      : call(method, params)) as typeof fake.call
  await form.load()
  expect(form.refusedEngines).toEqual({ containerd: 'this service can’t run it' })
})

test('changing the engine restarts it, and its objects are those of the other engine', async () => {
  const { fake, form } = await loaded()
  form.set({ engine: 'containerd' })
  expect(form.restarts).toBe(true)
  await form.save()
  await waitFor(() => expect([fake.state.app?.state, fake.state.app?.engine.name]).toEqual(['running', 'containerd']))
  expect(fake.engine.containers.every((c) => c.namespace)).toBe(true)
  await form.load()
  form.set({ engine: 'moby' })
  await form.save()
  await waitFor(() => expect([fake.state.app?.state, fake.state.app?.engine.name]).toEqual(['running', 'moby']))
  expect(fake.engine.volumes.length).toBeGreaterThan(0)
})
