import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { State } from './api'
import { CallError, Transport, type Link } from './transport'

const open: Transport[] = []
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  for (const t of open.splice(0)) t.close()
  vi.useRealTimers()
  vi.unstubAllGlobals()
  delete (window as { go?: unknown }).go
  delete (window as { runtime?: unknown }).runtime
})

// A server-sent event stream that the test ends.
function stream() {
  let control!: ReadableStreamDefaultController<Uint8Array>
  const body = new ReadableStream<Uint8Array>({ start: (c) => void (control = c) })
  return {
    response: new Response(body, { status: 200 }),
    say: (event: string, data: unknown) =>
      control.enqueue(new TextEncoder().encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)),
    end: () => control.close(),
  }
}

function listening() {
  const t = new Transport()
  open.push(t)
  const links: Link[] = []
  const states: string[] = []
  t.on('link', (l) => links.push(l))
  t.on('state', (s) => states.push(s.instance))
  t.start()
  return { t, links, states }
}

test('a broken stream is opened again, and the page says so meanwhile', async () => {
  const first = stream()
  const second = stream()
  const fetch = vi
    .fn()
    .mockResolvedValueOnce(first.response)
    .mockRejectedValueOnce(new TypeError('connection refused'))
    .mockResolvedValueOnce(second.response)
  vi.stubGlobal('fetch', fetch)
  const { links, states } = listening()
  first.say('state', { instance: 'one' } as State)
  await vi.waitFor(() => expect(states).toEqual(['one']), 20_000)
  first.end()
  await vi.waitFor(() => expect(links).toEqual(['up', 'lost']), 20_000)
  await vi.advanceTimersByTimeAsync(200)
  await vi.advanceTimersByTimeAsync(400)
  second.say('state', { instance: 'two' } as State)
  await vi.waitFor(() => expect(states).toEqual(['one', 'two']), 20_000)
  expect(links).toEqual(['up', 'lost', 'up'])
})

test('an ended session is not retried forever', async () => {
  const fetch = vi.fn().mockResolvedValue(new Response('', { status: 401 }))
  vi.stubGlobal('fetch', fetch)
  const { links } = listening()
  await vi.waitFor(() => expect(links).toEqual(['refused']), 20_000)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(fetch).toHaveBeenCalledTimes(1)
})

test('a failed call throws its problem; a State with an error is an answer', async () => {
  const problem = { kind: 'usage', message: 'no', field: 'name' }
  const fetch = vi.fn().mockResolvedValueOnce(new Response(JSON.stringify({ error: problem }), { status: 400 }))
  fetch.mockResolvedValueOnce(new Response(JSON.stringify({ instance: 'default', error: problem })))
  vi.stubGlobal('fetch', fetch)
  const t = new Transport()
  await expect(t.call('vm.start', { name: 'x' })).rejects.toMatchObject({ problem })
  await expect(t.call('state', {})).resolves.toMatchObject({ instance: 'default', error: problem })
})

test('a failed connection says what it means', async () => {
  vi.stubGlobal('fetch', vi.fn().mockRejectedValue(new TypeError('Failed to fetch')))
  const failed = await new Transport().call('usage', {}).catch((e: unknown) => e)
  expect((failed as CallError).problem.message).toBe('RDD is not responding.')
})

test("in the window, Wails' bridge is used", async () => {
  const listeners: Record<string, (data: unknown) => void> = {}
  const Call = vi.fn(async (method: string) =>
    method === 'state'
      ? JSON.stringify({ instance: 'one' })
      : JSON.stringify({ error: { kind: 'other', message: 'no' } }),
  )
  Object.assign(window, {
    go: { window: { API: { Call } } },
    runtime: { EventsOn: (event: string, f: (data: unknown) => void) => (listeners[event] = f) },
  })
  const { t, states, links } = listening()
  await vi.waitFor(() => expect(links).toEqual(['up']), 20_000)
  listeners.state!({ instance: 'two' })
  listeners.state!(JSON.stringify({ instance: 'three' }))
  expect(states).toEqual(['one', 'two', 'three'])
  await expect(t.call('vm.start', { name: 'x' })).rejects.toBeInstanceOf(CallError)
  expect(Call).toHaveBeenLastCalledWith('vm.start', '{"name":"x"}')
})
