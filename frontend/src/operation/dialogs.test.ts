import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/svelte'
import { afterEach, expect, test, vi } from 'vitest'
import StatusBar from '../layout/StatusBar.svelte'
import type { Store } from '../lib/store.svelte'
import type { UI } from '../lib/ui.svelte'
import { Fake } from '../testing/fake'
import Harness from '../testing/Harness.svelte'

afterEach(() => {
  cleanup()
  vi.useRealTimers()
})

function shown(fake = new Fake('usual', 20), more: Record<string, unknown> = {}) {
  let ui!: UI
  let store!: Store
  render(Harness, { fake, ready: (s: Store, u: UI) => ((store = s), (ui = u)), ...more })
  return { fake, ui, store }
}

// A VM that never arrives, at its question.
async function question() {
  const here = shown(new Fake('usual', 1))
  await here.ui.act('Start slow', () => here.fake.call('vm.start', { name: 'slow' }))
  return { ...here, dialog: await screen.findByRole('alertdialog', { name: /Start virtual machine slow/ }) }
}
const press = async (name: string | RegExp) => fireEvent.click(await screen.findByRole('button', { name }))
const answers = (fake: Fake) =>
  fake.calls.filter((c) => c.method === 'operation.answer').map((c) => (c.params as { answer: string }).answer)

test.each([
  ['Keep waiting', 'keep', 'running'],
  ['Stop waiting', 'stop-waiting', 'abandoned'],
  ['Force stop', 'force', 'done'],
])('timeout: %s', async (button, answer, state) => {
  const { fake, dialog } = await question()
  await press(button)
  await waitFor(() => expect(dialog.isConnected).toBe(false))
  expect(answers(fake)).toEqual([answer])
  expect(fake.state.operations[0]?.state ?? 'done').toBe(state)
})

test('timeout: Show log shows the console beside the question, and answers nothing', async () => {
  const { fake } = await question()
  await press('Show log')
  await screen.findByRole('region', { name: 'Log: text' })
  expect(fake.calls.find((c) => c.method === 'log.open')?.params).toEqual({ source: 'serial', vm: 'slow' })
  expect(answers(fake)).toEqual([])
})

test('a log that is open stays open while states come in', async () => {
  const { fake } = await question()
  await press('Show log')
  await screen.findByText(/earlier line 0 /)
  const opened = () => fake.calls.filter((c) => c.method === 'log.open').length
  fake.push()
  fake.push({ operations: fake.state.operations.map((o) => ({ ...o, progress: { ...o.progress, elapsed: 999 } })) })
  await screen.findByText('16 min 39 s')
  expect(opened()).toBe(1)
  fake.link('lost')
  fake.link('up')
  await waitFor(() => expect(opened()).toBe(2)) // its stream ended with the connection
})

test('timeout: what a forced stop may lose is said with its button', async () => {
  await question()
  const described = screen.getByRole('button', { name: 'Force stop' }).getAttribute('aria-describedby')!
  expect(document.getElementById(described)!.textContent).toContain('not written to its disk')
})

test('timeout: where nothing can be forced, there is no such button', async () => {
  const { fake } = await question()
  fake.push({ operations: fake.state.operations.map((o) => ({ ...o, force: undefined })) })
  await waitFor(() => expect(screen.queryByRole('button', { name: 'Force stop' })).toBeNull())
})

test('timeout: the question goes by itself when the VM arrives', async () => {
  const { fake, dialog } = await question()
  fake.push({ operations: fake.state.operations.map((o) => ({ ...o, state: 'done' as const })) })
  await waitFor(() => expect(dialog.isConnected).toBe(false))
  expect(answers(fake)).toEqual([])
})

test('timeout: Escape keeps waiting', async () => {
  const { fake, dialog } = await question()
  await fireEvent(dialog, new Event('cancel', { cancelable: true }))
  await waitFor(() => expect(dialog.isConnected).toBe(false))
  expect(answers(fake)).toEqual(['keep'])
})

test('an answer that does not get through can be given again', async () => {
  const { fake } = await question()
  fake.refusals['operation.answer'] = { kind: 'other', message: 'gone' }
  await press('Stop waiting')
  fake.refusals = {}
  await waitFor(() =>
    expect((screen.getByRole('button', { name: 'Stop waiting' }) as HTMLButtonElement).disabled).toBe(false),
  )
})

test('progress opens a dialog only for what takes long, and goes to the background', async () => {
  vi.useFakeTimers()
  const { fake, ui } = shown(new Fake('usual', 400))
  await ui.act('Start web', () => fake.call('vm.start', { name: 'old-debian' }))
  await vi.advanceTimersByTimeAsync(300)
  expect(screen.queryByRole('dialog')).toBeNull()
  await vi.advanceTimersByTimeAsync(300)
  expect(screen.getByRole('dialog', { name: 'Start virtual machine old-debian' }).textContent).toContain(
    '190 MiB of 320 MiB (59 %)',
  )
  await fireEvent.click(screen.getByRole('button', { name: 'Send to background' }))
  await vi.advanceTimersByTimeAsync(0)
  expect(screen.queryByRole('dialog')).toBeNull()
  expect(fake.state.operations[0]!.background).toBe(true)
})

// Somebody who cancels a creation is asked what is to become of what was made, and sees it done.
test.each([
  ['Delete it', { delete: true }, []],
  ['Keep it', {}, ['Stopped']],
])('cancel of a creation: %s', async (button, more, left) => {
  const { fake, ui } = shown(new Fake('usual', 250), { component: StatusBar })
  const making = { name: 'slow-shop', template: 'template:rdd', start: true } // which never gets there
  const id = (await ui.act('Create', () => fake.call('vm.create', making)))!.operation
  await screen.findByRole('dialog', { name: /slow-shop/ })
  await press('Cancel')
  expect(document.activeElement?.textContent?.trim()).toBe('Go on')
  await press(button)
  await waitFor(() =>
    expect(fake.state.vms.filter((vm) => vm.name === 'slow-shop').map((vm) => vm.state)).toEqual(left),
  )
  const cancels = fake.calls.filter((c) => c.method === 'operation.cancel').map((c) => c.params)
  expect(cancels).toEqual([{ id, ...more }])
  expect(fake.state.operations.find((o) => o.id === id)).toBeUndefined()
  await screen.findByText('done')
})

test('cancel of a creation: going on cancels nothing', async () => {
  const { fake, ui } = shown(new Fake('usual', 250))
  await ui.act('Create', () => fake.call('vm.create', { name: 'slow-shop', template: 'template:rdd', start: true }))
  const dialog = await screen.findByRole('dialog', { name: /slow-shop/ })
  await press('Cancel')
  await fireEvent(dialog, new Event('cancel', { cancelable: true }))
  await screen.findByRole('button', { name: 'Send to background' })
  expect(fake.calls.some((c) => c.method === 'operation.cancel')).toBe(false)
})

test('the status bar shows what goes on, opens it again, and forgets what went well', async () => {
  vi.useFakeTimers()
  const { fake } = shown(new Fake('usual', 1000), { component: StatusBar })
  await fake.call('vm.start', { name: 'old-debian' })
  await vi.advanceTimersByTimeAsync(1500)
  const button = screen.getByRole('button', { name: /Start virtual machine old-debian Step 1 of 5 · image/ })
  await fireEvent.click(button)
  expect(screen.getByRole('dialog', { name: 'Start virtual machine old-debian' })).toBeTruthy()
  await vi.advanceTimersByTimeAsync(5000)
  expect(screen.getByRole('button', { name: /old-debian done/ })).toBeTruthy()
  await vi.advanceTimersByTimeAsync(5000)
  expect(screen.queryByRole('button', { name: /old-debian/ })).toBeNull()
})

test('what is refused at once is said with its remedy', async () => {
  const { fake, ui } = shown()
  fake.refusals['vm.start'] = { kind: 'rejected', message: 'the disk is locked', advice: 'Restart the service.' }
  await ui.act('Start web', () => fake.call('vm.start', { name: 'web' }))
  const dialog = await screen.findByRole('alertdialog', { name: 'Start web: not done' })
  expect(dialog.textContent).toContain('Restart the service.')
})

test('an operation that fails stays until it is read, even in the first half second', async () => {
  const { fake, ui } = shown()
  await ui.act('Start web', () => fake.call('vm.start', { name: 'slow' }))
  fake.push({
    operations: fake.state.operations.map((o) => ({
      ...o,
      state: 'failed' as const,
      problem: { kind: 'other' as const, message: 'no such image', advice: 'Correct the template.' },
    })),
  })
  const dialog = await screen.findByRole('alertdialog')
  expect(dialog.textContent).toContain('Correct the template.')
  await press('Close')
  await waitFor(() => expect(fake.state.operations).toEqual([]))
})

test('a factory reset wants the name, exactly', async () => {
  const { ui } = shown()
  const run = vi.fn()
  ui.confirmation = { title: 'Factory reset?', text: '', type: 'default', action: 'Remove everything', run }
  const act = (await screen.findByRole('button', { name: 'Remove everything' })) as HTMLButtonElement
  const box = screen.getByRole('textbox')
  await fireEvent.input(box, { target: { value: 'Default' } })
  expect(act.disabled).toBe(true)
  await fireEvent.submit(box.closest('form')!)
  expect(run).not.toHaveBeenCalled()
  await fireEvent.input(box, { target: { value: 'default' } })
  await fireEvent.click(act)
  expect(run).toHaveBeenCalledOnce()
})

test('the first run starts nothing until it is told to', async () => {
  const { fake } = shown(new Fake('first', 20))
  await screen.findByRole('dialog', { name: 'Welcome to RDD' })
  await press('Not now')
  await waitFor(() => expect(screen.queryByRole('dialog')).toBeNull())
  expect(fake.calls.map((c) => c.method)).toEqual(['settings.set'])
  expect(fake.state.service.state).toBe('not-created')
})
