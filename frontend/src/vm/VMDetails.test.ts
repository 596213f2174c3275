import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/svelte'
import { afterEach, expect, test, vi } from 'vitest'
import Machine from './VMDetails.svelte'
import type { Method } from '../lib/transport'
import { Fake } from '../testing/fake'
import Harness from '../testing/Harness.svelte'

afterEach(cleanup)

function shown(tab: string) {
  const fake = new Fake('usual', 5)
  render(Harness, { fake, component: Machine as never, given: { name: 'web', tab } })
  return fake
}
const called = (fake: Fake, method: Method) => fake.calls.filter((c) => c.method === method)
const type = (label: string, value: string) => fireEvent.input(screen.getByLabelText(label), { target: { value } })

test('resources are loaded once, and edits survive a new State', async () => {
  const fake = shown('resources')
  await screen.findByLabelText('Processors')
  await type('Processors', '6')
  fake.push()
  await screen.findByText(/to apply these changes/)
  expect((screen.getByLabelText('Processors') as HTMLInputElement).value).toBe('6')
  expect(called(fake, 'vm.resources')).toHaveLength(1)
  fake.push({ vms: fake.state.vms.map((v) => ({ ...v, state: 'Unresponsive' })) })
  await screen.findByText('Unresponsive')
  expect((screen.getByLabelText('Processors') as HTMLInputElement).value).toBe('6')
  expect(called(fake, 'vm.resources')).toHaveLength(1)
})

test('a reverted change disappears and cannot be applied', async () => {
  shown('resources')
  await screen.findByLabelText('Processors')
  const apply = screen.getByRole('button', { name: 'Apply' }) as HTMLButtonElement
  await type('Processors', '6')
  expect(screen.getByRole('heading', { name: 'Changes' })).toBeTruthy()
  expect(apply.disabled).toBe(false)
  await type('Processors', '4')
  expect(screen.queryByRole('heading', { name: 'Changes' })).toBeNull()
  expect(apply.disabled).toBe(true)
})

test('parameters: edits survive a new State, and only changes are sent', async () => {
  const fake = shown('parameters')
  await screen.findByLabelText('Greeting')
  await type('Greeting', 'good day')
  fake.push()
  await fireEvent.click(screen.getByRole('button', { name: 'Use default of ContainerdVersion' }))
  expect((screen.getByLabelText('Greeting') as HTMLInputElement).value).toBe('good day')
  await fireEvent.click(screen.getByRole('button', { name: 'Apply' }))
  await waitFor(() =>
    expect(called(fake, 'vm.setParams').map((c) => c.params)).toEqual([
      { name: 'web', set: { Greeting: 'good day' }, remove: ['ContainerdVersion'] },
    ]),
  )
})

test('a parameter is checked while typing, and an invalid one is not sent', async () => {
  const fake = shown('parameters')
  const box = await screen.findByLabelText('Greeting')
  const apply = screen.getByRole('button', { name: 'Apply' }) as HTMLButtonElement
  await type('Greeting', 'a\u0007')
  await fireEvent.click(apply) // before the check
  const message = await screen.findByText('its value contains unprintable character')
  expect(box.getAttribute('aria-describedby')).toBe(message.id)
  await waitFor(() => expect(document.activeElement).toBe(box))
  expect(apply.disabled).toBe(true)
  expect(called(fake, 'vm.setParams')).toEqual([])
  await type('Greeting', 'good day')
  await waitFor(() => expect(apply.disabled).toBe(false))
  expect(box.hasAttribute('aria-invalid')).toBe(false)
  await fireEvent.click(apply)
  await waitFor(() => expect(called(fake, 'vm.setParams')).toHaveLength(1))
})

test('a template that somebody else changed is not overwritten, and the typed text stays', async () => {
  const fake = shown('template')
  const box = (await screen.findByLabelText('Template of web')) as HTMLElement
  const before = fake.calls.length
  await fake.call('vm.setTemplate', { name: 'web', version: '1', text: 'images: [] # theirs' })
  await waitFor(() => expect(screen.getByLabelText('Template of web').className).toContain('cm-content'))
  expect(box).toBeTruthy()
  // CodeMirror in jsdom has no layout to type into; its view takes a change as it does from a keyboard.
  const { EditorView } = await import('@codemirror/view')
  const view = EditorView.findFromDOM(screen.getByLabelText('Template of web') as HTMLElement)!
  view.dispatch({ changes: { from: 0, insert: '# mine\n' } })
  await fireEvent.click(await screen.findByRole('button', { name: 'Save' }))
  await screen.findByText('The template was changed meanwhile.')
  expect(view.state.doc.toString().startsWith('# mine')).toBe(true)
  expect(fake.calls.length).toBeGreaterThan(before)
})

test('a template is checked while typing, and an invalid one is not saved', async () => {
  const fake = shown('template')
  await waitFor(() => expect(screen.getByLabelText('Template of web').className).toContain('cm-content'))
  const box = screen.getByLabelText('Template of web')
  const { EditorView } = await import('@codemirror/view')
  const view = EditorView.findFromDOM(box)!
  const text = view.state.doc.toString()
  const write = (insert: string) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert } })
  write('cpus: 2\n')
  await screen.findByText('images: must name at least one image')
  await waitFor(() => expect(box.getAttribute('aria-invalid')).toBe('true'))
  expect((screen.getByRole('button', { name: 'Save' }) as HTMLButtonElement).disabled).toBe(true)
  write(`# mine\n${text}`)
  await waitFor(() => expect(screen.queryByText('images: must name at least one image')).toBeNull())
  expect(box.hasAttribute('aria-invalid')).toBe(false)
  write('cpus: 3\n')
  await fireEvent.click(screen.getByRole('button', { name: 'Save' })) // before the check
  await screen.findByText('images: must name at least one image')
  expect(called(fake, 'vm.setTemplate')).toEqual([])
  write(`# mine\n${text}`)
  const save = screen.getByRole('button', { name: 'Save' }) as HTMLButtonElement
  await waitFor(() => expect(save.disabled).toBe(false))
  await fireEvent.click(save)
  await waitFor(() => expect(called(fake, 'vm.setTemplate')).toHaveLength(1))
})

test('a log is shown as text, never as HTML', async () => {
  const fake = shown('logs')
  await screen.findByText('serial: earlier line 3 <b>bold</b>')
  expect(document.querySelector('b')).toBeNull()
  expect(called(fake, 'log.open')).toHaveLength(1)
})

test('the elapsed time on the page of a VM keeps counting', async () => {
  vi.useFakeTimers()
  const fake = shown('summary')
  fake.start()
  fake.push({ vms: fake.state.vms.map((v) => ({ ...v, progress: { phase: 'boot', elapsed: 58 } })) })
  await vi.advanceTimersByTimeAsync(10)
  screen.getByText('58 s')
  await vi.advanceTimersByTimeAsync(3000)
  screen.getByText('1 min 1 s')
  vi.useRealTimers()
})

test('a deleted VM says so', async () => {
  const fake = shown('summary')
  await fake.call('vm.delete', { name: 'web' })
  await screen.findByText(/This virtual machine does not exist/)
})

test('Apply and restart restarts the VM only if the change succeeded', async () => {
  const fake = shown('resources')
  await screen.findByLabelText('Processors')
  const button = () => fireEvent.click(screen.getByRole('button', { name: 'Apply and restart' }))
  const hold = vi.spyOn(fake, 'push')
  await type('Processors', '6')
  await button()
  await waitFor(() => expect(called(fake, 'vm.restart')).toHaveLength(1))
  const states = hold.mock.calls.flatMap(([c]) => c?.operations ?? [])
  expect(states.some((o) => o.verb === 'change' && o.state === 'done')).toBe(true)
  fake.refusals['vm.setResources'] = { kind: 'rejected', message: 'too much' }
  await type('Processors', '7')
  await button()
  await screen.findByText('too much')
  expect(called(fake, 'vm.restart')).toHaveLength(1)
})
