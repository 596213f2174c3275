import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/svelte'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { UI } from '../lib/ui.svelte'
import { Fake } from '../testing/fake'
import Harness from '../testing/Harness.svelte'

let fake: Fake
beforeEach(async () => {
  fake = new Fake('usual', 5)
  render(Harness, { fake, ready: (_: unknown, ui: UI) => void (ui.dialog = 'create') })
  await screen.findByRole('option', { name: 'rdd' })
})
afterEach(cleanup)

const name = () => screen.getByLabelText('Name')
const type = (value: string) => fireEvent.input(name(), { target: { value } })
const create = () => fireEvent.click(screen.getByRole('button', { name: 'Create' }))
const sent = () => fake.calls.filter((c) => c.method === 'vm.create').map((c) => c.params)

test('without the service nothing can be created', async () => {
  expect(screen.queryByText(/service is not running/)).toBeNull()
  fake.kill()
  await screen.findByText('The service is not running.')
  expect((screen.getByRole('button', { name: 'Create' }) as HTMLButtonElement).disabled).toBe(true)
})

test('an empty name is not reported before the user types', async () => {
  await waitFor(() => expect(fake.calls.some((c) => c.method === 'vm.check')).toBe(true))
  expect(name().hasAttribute('aria-invalid')).toBe(false)
})

test('an error is shown beside its field while typing', async () => {
  await type('Not A Name')
  const message = await screen.findByText(/1 to 30 characters of a-z/)
  expect(name().getAttribute('aria-describedby')).toContain(message.id)
  expect(name().getAttribute('aria-invalid')).toBe('true')
  await type('web')
  await screen.findByText(/A virtual machine named web already exists/)
  await type('shop')
  await waitFor(() => expect(name().hasAttribute('aria-invalid')).toBe(false))
})

test('an invalid form is not sent, and the invalid field is focused', async () => {
  await type('web')
  await create()
  await waitFor(() => expect(document.activeElement).toBe(name()))
  expect(sent()).toEqual([])
})

test('quick typing causes one check', async () => {
  const before = fake.calls.filter((c) => c.method === 'vm.check').length
  await Promise.all(['s', 'sh', 'sho', 'shop'].map(type))
  await waitFor(() => expect(fake.calls.filter((c) => c.method === 'vm.check').length).toBeGreaterThan(before))
  const asked = fake.calls.filter((c) => c.method === 'vm.check').slice(before)
  expect(asked.map((c) => (c.params as { name: string }).name)).toEqual(['shop'])
})

test('a create before the templates are listed uses the first one', async () => {
  cleanup()
  fake = new Fake('usual', 5)
  const call = fake.call.bind(fake)
  let list = () => {}
  const held = new Promise<void>((listed) => (list = listed))
  fake.call = async (method, params) => {
    if (method === 'templates') await held
    return call(method, params)
  }
  render(Harness, { fake, ready: (_: unknown, ui: UI) => void (ui.dialog = 'create') })
  await screen.findByLabelText('Name')
  await type('shop')
  await create()
  list()
  await waitFor(() => expect(sent()).toEqual([{ name: 'shop', template: 'template:rdd', start: true }]))
})

test('a valid form is sent with the chosen values only', async () => {
  await type('shop')
  await create()
  await waitFor(() => expect(sent()).toEqual([{ name: 'shop', template: 'template:rdd', start: true }]))
  await waitFor(() => expect(screen.queryByRole('dialog', { name: 'New virtual machine' })).toBeNull())
})

test('resources are checked against the host, and sent in bytes', async () => {
  await type('shop')
  await fireEvent.click(screen.getByLabelText('Set processors, memory and disk'))
  const memory = screen.getByLabelText('Memory')
  await fireEvent.input(memory, { target: { value: '64' } })
  await screen.findByText('Memory must be between 512 MiB and 16 GiB.')
  await create()
  expect(sent()).toEqual([])
  await fireEvent.input(memory, { target: { value: '2' } })
  await waitFor(() =>
    expect((screen.getByRole('button', { name: 'Create' }) as HTMLButtonElement).disabled).toBe(false),
  )
  await create()
  await waitFor(() => expect(sent()).toHaveLength(1))
  expect(sent()[0]).toMatchObject({ resources: { cpus: 4, memory: 2 * 1024 ** 3, disk: 100 * 1024 ** 3 } })
})

test('a refused create is shown beside its field', async () => {
  await type('shop')
  fake.refusals['vm.create'] = { kind: 'rejected', message: 'somebody was faster: shop exists', field: 'name' }
  await create()
  await screen.findByText('somebody was faster: shop exists')
  expect(name().getAttribute('aria-invalid')).toBe('true')
})

test('a click on Create works although another check overtakes its own', async () => {
  const answers: (() => void)[] = []
  const call = fake.call.bind(fake)
  fake.call = ((method: 'vm.check', params: never) =>
    method === 'vm.check'
      ? new Promise((done) => answers.push(() => done(call(method, params))))
      : call(method, params)) as typeof fake.call
  await type('shop')
  await create()
  await waitFor(() => expect(answers.length).toBe(2)) // that of the click, and that of the pause after the last key
  for (const answer of answers) answer()
  await waitFor(() => expect(sent().length).toBe(1))
})

const pick = (template: string) => fireEvent.change(screen.getByLabelText('Template'), { target: { value: template } })

test('the parameters of a template show their defaults', async () => {
  expect(screen.queryByText('Template parameters')).toBeNull()
  await type('shop')
  await pick('template:debian-13')
  const greeting = (await screen.findByLabelText('Greeting')) as HTMLInputElement
  expect([greeting.value, greeting.placeholder]).toEqual(['', 'hello'])
  await create()
  await waitFor(() => expect(sent()).toEqual([{ name: 'shop', template: 'template:debian-13', start: true }]))
})

test('a refused value is shown beside its field and not sent', async () => {
  await type('shop')
  await pick('template:debian-13')
  const greeting = await screen.findByLabelText('Greeting')
  await fireEvent.input(greeting, { target: { value: 'a\u0007' } })
  const message = await screen.findByText('its value contains unprintable character')
  expect(greeting.getAttribute('aria-describedby')).toBe(message.id)
  await create()
  await waitFor(() => expect(document.activeElement).toBe(greeting))
  expect(sent()).toEqual([])
  await fireEvent.click(screen.getByRole('button', { name: 'Use default of Greeting' }))
  expect(document.activeElement).toBe(greeting)
  await fireEvent.input(greeting, { target: { value: 'good day' } })
  await waitFor(() => expect(screen.queryByText('its value contains unprintable character')).toBeNull())
  await create()
  await waitFor(() => expect(sent()).toMatchObject([{ params: { Greeting: 'good day' } }]))
})

test('parameters of another template are not sent', async () => {
  await type('shop')
  await pick('template:debian-13')
  await fireEvent.input(await screen.findByLabelText('Greeting'), { target: { value: 'good day' } })
  await pick('template:rdd')
  await waitFor(() => expect(screen.queryByLabelText('Greeting')).toBeNull())
  await create()
  await waitFor(() => expect(sent()).toEqual([{ name: 'shop', template: 'template:rdd', start: true }]))
})

test('an undeclared parameter can be added, and a wrong name is shown beside it', async () => {
  await type('shop')
  await fireEvent.click(screen.getByRole('button', { name: 'Add parameter' }))
  const box = screen.getByLabelText('Name of parameter 1')
  await waitFor(() => expect(document.activeElement).toBe(box))
  for (const [value, says] of [
    ['1st', /starts with a letter/],
    ['Unknown', /is not used in any provision/],
  ] as const) {
    await fireEvent.input(box, { target: { value } })
    const message = await screen.findByText(says)
    expect(box.getAttribute('aria-describedby')).toBe(message.id)
  }
  await fireEvent.input(box, { target: { value: 'Secret' } })
  await waitFor(() => expect(box.hasAttribute('aria-invalid')).toBe(false))
  await create()
  await waitFor(() => expect(sent()).toMatchObject([{ params: { Secret: '' } }]))
})

test('a problem without a field is shown, too', async () => {
  const call = fake.call.bind(fake)
  fake.call = (async (method: 'vm.check', params: never) =>
    method === 'vm.check' ? [{ field: 'cpus', message: 'at least 1' }] : call(method, params)) as typeof fake.call
  await type('shop')
  await screen.findByText('cpus: at least 1')
})
