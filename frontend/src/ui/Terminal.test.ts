import { cleanup, screen, waitFor } from '@testing-library/svelte'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Fake } from '../testing/fake'
import { press, show } from '../testing/render'
import Terminal from './Terminal.svelte'

// xterm.js and its size need a browser's layout, so the test says what changed.
interface Drawn {
  fits: number
  watched?: () => void
  typed?: (text: string) => void
  resized?: (size: { cols: number; rows: number }) => void
}
const drawn: Drawn = vi.hoisted(() => ({ fits: 0 }))
vi.mock('@xterm/xterm', () => ({
  Terminal: class {
    cols = 80
    rows = 24
    loadAddon() {}
    open() {}
    attachCustomKeyEventHandler() {}
    onData(typed: Drawn['typed']) {
      drawn.typed = typed
    }
    onResize(resized: Drawn['resized']) {
      drawn.resized = resized
    }
    write() {}
    focus() {}
    dispose() {}
  },
}))
vi.mock('@xterm/addon-fit', () => ({
  FitAddon: class {
    fit() {
      drawn.fits++
    }
  },
}))

beforeEach(() => {
  Object.assign(drawn, { fits: 0, watched: undefined, typed: undefined, resized: undefined })
  vi.stubGlobal(
    'ResizeObserver',
    class {
      constructor(changed: () => void) {
        drawn.watched = changed
      }
      observe() {}
      unobserve() {}
      disconnect() {}
    },
  )
})
afterEach(() => {
  cleanup()
  vi.unstubAllGlobals()
})

async function shell() {
  const fake = new Fake('usual', 20)
  const called = (method: string) => fake.calls.filter((c) => c.method === method).map((c) => c.params)
  show(fake, Terminal, {
    label: 'Shell',
    open: (cols: number, rows: number) => fake.call('shell.open', { name: 'dev', cols, rows }),
  })
  await waitFor(() => expect(drawn.resized).toBeDefined())
  expect(called('shell.open')).toEqual([{ name: 'dev', cols: 80, rows: 24 }])
  return { fake, called }
}

test('the terminal fits its place, and the shell gets its new size', async () => {
  const { called } = await shell()
  const fits = drawn.fits
  drawn.watched!()
  expect(drawn.fits).toBe(fits + 1)
  drawn.resized!({ cols: 120, rows: 40 })
  await waitFor(() => expect(called('stream.resize')).toMatchObject([{ cols: 120, rows: 40 }]))
})

test('a shell that has exited gets no size and no keys, and a new one does', async () => {
  const { fake, called } = await shell()
  drawn.typed!('exit\r')
  await waitFor(() => expect(called('stream.write')).toHaveLength(1))
  fake.endStreams()
  await screen.findByText('The shell has exited.')
  drawn.resized!({ cols: 80, rows: 22 }) // the line that says so takes room from the terminal
  drawn.typed!('late')
  await press('New shell')
  await waitFor(() => expect(called('shell.open')).toHaveLength(2))
  expect(called('stream.resize')).toEqual([])
  expect(called('stream.write')).toHaveLength(1)
})
