import { cleanup, fireEvent, screen, waitFor } from '@testing-library/svelte'
import { afterEach, expect, test, vi } from 'vitest'
import { Fake } from '../testing/fake'
import { id } from '../testing/fakeEngine'
import { press, show } from '../testing/render'
import Containers from './Containers.svelte'

afterEach(cleanup)

const rows = () => [...document.querySelectorAll<HTMLElement>('[role=row][data-id]')]
const row = (name: string) => rows().find((r) => r.dataset.id === id(name) || r.dataset.id === `group ${name}`)
const called = (fake: Fake, method: string) => fake.calls.filter((c) => c.method === method).map((c) => c.params)
const write = (value: string) =>
  fireEvent.input(screen.getByRole('searchbox', { name: 'Search containers' }), { target: { value } })
const pick = (name: string) => fireEvent.click(screen.getByRole('checkbox', { name: `Select ${name}` }))

test('containers are in their compose projects, with the counts of their states', async () => {
  show(undefined, Containers)
  await waitFor(() => expect(row('shop')?.textContent).toContain('4 running, 1 stopped'))
  expect(rows().map((r) => r.getAttribute('aria-level'))).toContain('2')
  expect(row('registry')?.getAttribute('aria-level')).toBe('1')
  await fireEvent.click(screen.getByRole('checkbox', { name: 'Projects' }))
  expect(row('shop')).toBeUndefined()
  expect(row('shop-web-1')?.textContent).toContain('shop-web-1')
})

test('the list follows the engine, and a search narrows it', async () => {
  const { fake } = show(undefined, Containers)
  await waitFor(() => expect(row('registry')).toBeTruthy())
  await write('postgres')
  expect(rows()).toHaveLength(2) // its project and itself
  await fake.call('container.delete', { ids: [id('shop-db-1')], force: true })
  await screen.findByText('No matching containers')
})

test('bulk actions take what is selected and shown, and only those with which it can be done', async () => {
  const { fake } = show(undefined, Containers)
  await waitFor(() => expect(row('registry')).toBeTruthy())
  await pick('registry')
  await pick('brave_hopper')
  await press('Stop')
  await waitFor(() => expect(called(fake, 'container.stop')).toEqual([{ ids: [id('registry')] }]))
  await write('hopper')
  await press('Start')
  await waitFor(() => expect(called(fake, 'container.start')).toEqual([{ ids: [id('brave_hopper')] }]))
})

test('a project is stopped as a whole', async () => {
  const { fake } = show(undefined, Containers)
  await press('Stop all of metrics')
  await waitFor(() =>
    expect(called(fake, 'container.stop')).toEqual([{ ids: [id('metrics-grafana-1'), id('metrics-prometheus-1')] }]),
  )
})

test('deleting asks, says what is lost, and takes the volumes only if wanted', async () => {
  const { fake } = show(undefined, Containers)
  await press('Delete registry')
  screen.getByText(/It is running, and is killed first/)
  expect(called(fake, 'container.delete')).toEqual([])
  await fireEvent.click(screen.getByRole('checkbox', { name: 'Delete anonymous volumes, too' }))
  await press('Delete')
  await waitFor(() => expect(row('registry')).toBeUndefined())
  expect(called(fake, 'container.delete')).toEqual([{ ids: [id('registry')], force: true, volumes: true }])
})

test('what the engine refuses is shown in its words', async () => {
  const { fake } = show(undefined, Containers)
  await waitFor(() => expect(row('registry')).toBeTruthy())
  fake.refuse('container.stop', 'registry', 'permission denied')
  await press('Stop registry')
  const alert = await screen.findByRole('alert')
  expect(alert.textContent).toContain('Could not stop 1 container')
  expect(alert.textContent).toContain('registry: permission denied')
  await press('Dismiss')
  expect(screen.queryByRole('alert')).toBeNull()
})

test('without the engine it says why, and starts it', async () => {
  const { fake } = show(new Fake('stopped', 20), Containers)
  await screen.findByText('The container engine is stopped.')
  await press('Start')
  await waitFor(() => expect(called(fake, 'app.start')).toHaveLength(1))
})

test('without containers it shows the command that runs one', async () => {
  const { fake } = show(undefined, Containers)
  await waitFor(() => expect(row('registry')).toBeTruthy())
  fake.engine.clear()
  fake.pushEngine()
  await screen.findByText('rdd run docker run -d -p 8080:80 nginx')
})

test('usage is asked only for running rows in sight, and not when the page is left', async () => {
  vi.useFakeTimers({ shouldAdvanceTime: true })
  const { fake } = show(new Fake('many', 20), Containers)
  await vi.advanceTimersByTimeAsync(5000)
  const asked = called(fake, 'container.usage') as { ids: string[] }[]
  expect(asked.length).toBeGreaterThanOrEqual(2)
  const { ids } = asked.at(-1)!
  expect(ids.length).toBeGreaterThan(3)
  expect(ids.length).toBeLessThan(60)
  expect(ids.every((id) => fake.engine.find(id)?.state === 'running')).toBe(true)
  cleanup()
  const before = called(fake, 'container.usage').length
  await vi.advanceTimersByTimeAsync(10_000)
  expect(called(fake, 'container.usage')).toHaveLength(before)
  vi.useRealTimers()
})

test('without a container engine nothing is said to be kept', async () => {
  show(new Fake('first', 20), Containers)
  await screen.findByText('The first start creates it.')
  expect(screen.queryByText(/is kept/)).toBeNull()
})
