import { cleanup, fireEvent, screen, waitFor } from '@testing-library/svelte'
import { afterEach, expect, test, vi } from 'vitest'
import type { Method } from '../lib/transport'
import { Fake } from '../testing/fake'
import { id } from '../testing/fakeEngine'
import { press, show } from '../testing/render'
import ContainerDetails from './ContainerDetails.svelte'
import { environment } from './environment'
import { rates } from './usage.svelte'

// xterm.js needs a canvas, which jsdom lacks.
vi.mock('@xterm/xterm', () => ({
  Terminal: class {
    cols = 80
    rows = 24
    loadAddon() {}
    open() {}
    attachCustomKeyEventHandler() {}
    onData() {}
    onResize() {}
    write() {}
    focus() {}
    dispose() {}
  },
}))
vi.mock('@xterm/addon-fit', () => ({
  FitAddon: class {
    fit() {}
  },
}))

afterEach(cleanup)

const called = (fake: Fake, method: string) => fake.calls.filter((c) => c.method === method).map((c) => c.params)
const shown = (name: string, tab?: string, fake = new Fake('usual', 20)) =>
  show(fake, ContainerDetails, { name: id(name), tab })

test('the log has a tail, and timestamps if wanted', async () => {
  const { fake } = shown('shop-web-1')
  await screen.findByText(/GET \/api\/items\/0 200/)
  expect(document.querySelector('b')).toBeNull()
  await fireEvent.click(screen.getByRole('checkbox', { name: 'Timestamps' }))
  await waitFor(() =>
    expect(called(fake, 'container.logOpen')).toEqual([
      { id: id('shop-web-1'), tail: 1000, timestamps: false, follow: true },
      { id: id('shop-web-1'), tail: 1000, timestamps: true, follow: true },
    ]),
  )
  await waitFor(() => expect(called(fake, 'stream.close')).toHaveLength(1))
})

test('the window, which can’t save a file as a browser does, lets RDD save the log', async () => {
  Object.assign(window, { runtime: {} })
  try {
    const { fake } = shown('shop-web-1')
    await screen.findByText(/GET \/api\/items\/0 200/)
    await press('Download')
    await screen.findByText('/home/ada/Downloads/shop-web-1.log')
    expect(called(fake, 'log.save')[0]).toMatchObject({ name: 'shop-web-1.log' })
    expect((called(fake, 'log.save')[0] as { text: string }).text).toMatch(/items\/0 200[^]*\n$/)
  } finally {
    delete (window as { runtime?: unknown }).runtime
  }
})

test('the log stays open when the container changes, and is opened again for its next run', async () => {
  const { fake } = shown('shop-web-1')
  await screen.findByText(/items\/0 /)
  await fake.call('container.pause', { ids: [id('shop-web-1')] })
  await screen.findByText('Paused')
  expect(called(fake, 'container.logOpen')).toHaveLength(1)
  await fake.call('container.restart', { ids: [id('shop-web-1')] })
  await waitFor(() => expect(called(fake, 'container.logOpen')).toHaveLength(2))
})

test('an address with a name leads to the container, too', async () => {
  show(undefined, ContainerDetails, { name: 'registry', tab: 'overview' })
  await screen.findByText(id('registry'))
})

test('the overview has ports, mounts, networks and labels', async () => {
  shown('shop-db-1', 'overview')
  expect((await screen.findByRole('link', { name: 'shop_data' })).getAttribute('href')).toBe('#/volumes/shop_data')
  expect(screen.getByRole('link', { name: /5432:5432/ }).getAttribute('href')).toBe('http://localhost:5432')
  expect(screen.getByRole('link', { name: 'shop_default' }).getAttribute('href')).toBe(
    `#/networks/${id('network shop_default')}`,
  )
  screen.getByText('com.docker.compose.project.working_dir')
})

test('a container that does not run has no shell, and says what helps', async () => {
  const { fake } = shown('brave_hopper', 'shell')
  await screen.findByText('brave_hopper is not running. Start it to open a shell.')
  expect(called(fake, 'container.shellOpen')).toEqual([])
})

test('a container without a shell says so, and another command can be opened as another user', async () => {
  const fake = new Fake('usual', 20)
  fake.refusals['container.shellOpen'] = { kind: 'rejected', message: 'exec: "sh": executable file not found' }
  shown('registry', 'shell', fake)
  await screen.findByText('exec: "sh": executable file not found')
  screen.getByText(/Enter a command that the container has/)
  fake.refusals = {}
  await fireEvent.input(screen.getByRole('textbox', { name: 'Command' }), { target: { value: ' bash  -l' } })
  await fireEvent.input(screen.getByRole('textbox', { name: 'User' }), { target: { value: 'root' } })
  await press('Open')
  await waitFor(() =>
    expect(called(fake, 'container.shellOpen').at(-1)).toEqual({
      id: id('registry'),
      command: ['bash', '-l'],
      user: 'root',
      cols: 80,
      rows: 24,
    }),
  )
})

test('a shell that the engine ends before anything is typed says what else to try', async () => {
  const fake = new Fake('usual', 20)
  const call = fake.call.bind(fake)
  fake.call = (async (method: Method, params: never) => {
    const answer = await call(method, params)
    if (method === 'container.shellOpen') setTimeout(() => fake.endStreams(), 20)
    return answer
  }) as typeof fake.call
  shown('registry', 'shell', fake)
  await screen.findByText('The shell has exited at once.')
  screen.getByText(/Enter a command that the container has/)
})

test('files are browsed and downloaded, and a folder that can’t be shown leaves the one before', async () => {
  const { fake } = shown('shop-web-1', 'files')
  await press('app')
  await screen.findByText('package.json')
  await press('Download package.json')
  await screen.findByText('/home/ada/Downloads/package.json')
  expect(called(fake, 'container.download')).toEqual([{ id: id('shop-web-1'), path: '/app/package.json' }])
  fake.refusals['container.files'] = { kind: 'other', message: 'permission denied' }
  await press('src')
  await screen.findByText('permission denied')
  screen.getByText('package.json')
})

test('inspect shows the engine’s JSON, and follows the container', async () => {
  const { fake } = shown('shop-web-1', 'inspect')
  await waitFor(() => expect(screen.getByRole('region', { name: /JSON/ }).textContent).toContain('"healthy"'))
  await fake.call('container.pause', { ids: [id('shop-web-1')] })
  await waitFor(() => expect(screen.getByRole('region', { name: /JSON/ }).textContent).toContain('"paused"'))
})

test('a container that is deleted while it is open says so', async () => {
  const { fake } = shown('registry')
  await screen.findByText(/items\/0 /)
  await fake.call('container.delete', { ids: [id('registry')], force: true })
  await screen.findByText('This container was deleted.')
  screen.getByRole('heading', { name: 'registry' })
})

test('the environment is read from what the engine says', () => {
  const said = { Config: { Env: ['PATH=/bin', 'URL=http://a?b=c', 'EMPTY='] } }
  const expected = { PATH: '/bin', URL: 'http://a?b=c', EMPTY: '' }
  expect(environment(JSON.stringify(said))).toEqual(expected)
  expect(environment(JSON.stringify([said]))).toEqual(expected)
  expect(environment('{"Config":{"Env":null}}')).toEqual({})
  expect(environment('no JSON')).toEqual({})
})

test('rates are what counters grow by in a second, with gaps where they are unknown or begin again', () => {
  const samples = [{ at: 0, value: 100 }, { at: 2, value: 300 }, { at: 3 }, { at: 4, value: 500 }, { at: 6, value: 10 }]
  expect(rates(samples)).toEqual([null, 100, null, null, null])
})
