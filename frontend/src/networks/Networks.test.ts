import { cleanup, fireEvent, screen, waitFor } from '@testing-library/svelte'
import { afterEach, expect, test } from 'vitest'
import { id } from '../testing/fakeEngine'
import { press, show } from '../testing/render'
import NetworkDetails from './NetworkDetails.svelte'
import Networks from './Networks.svelte'

afterEach(cleanup)

const ids = () => [...document.querySelectorAll<HTMLElement>('[role=row][data-id]')].map((r) => r.dataset.id)

test('networks of the engine and those in use can’t be deleted', async () => {
  show(undefined, Networks)
  const button = (name: string) => screen.getByRole('button', { name: `Delete ${name}` }) as HTMLButtonElement
  await screen.findByRole('button', { name: 'Delete bridge' })
  expect(button('bridge').disabled).toBe(true)
  expect(button('bridge').title).toContain('belongs to the engine')
  expect(button('shop_default').title).toContain('shop-web-1')
  expect(button('blog_default').disabled).toBe(false)
})

test('deleting asks first', async () => {
  const { fake } = show(undefined, Networks)
  await press('Delete blog_default')
  screen.getByText(/can’t be started without it/)
  await press('Delete')
  await waitFor(() => expect(ids()).not.toContain(id('network blog_default')))
  expect(fake.calls.filter((c) => c.method === 'network.delete').map((c) => c.params)).toEqual([
    { ids: [id('network blog_default')] },
  ])
})

test('a search takes subnets and containers', async () => {
  show(undefined, Networks)
  const box = await screen.findByRole('searchbox', { name: 'Search networks' })
  await fireEvent.input(box, { target: { value: '172.19.' } })
  expect(ids()).toEqual([id('network blog_default')])
  await fireEvent.input(box, { target: { value: 'shop-web' } })
  expect(ids()).toEqual([id('network shop_default')])
})

test('the page of a network shows its subnets and containers, and says when it was deleted', async () => {
  const { fake } = show(undefined, NetworkDetails, { name: id('network shop_default') })
  await screen.findByText('172.18.0.0/16')
  screen.getByRole('link', { name: 'shop-web-1' })
  fake.engine.change({}, { networks: [id('network shop_default')] })
  await screen.findByText('This network was deleted.')
})

test('a new network’s wrong subnet is said beside the field', async () => {
  const { fake } = show(undefined, Networks)
  await press('New network')
  await fireEvent.input(screen.getByRole('textbox', { name: 'Name' }), { target: { value: 'backend' } })
  const subnet = screen.getByRole('textbox', { name: 'Subnet' })
  await fireEvent.input(subnet, { target: { value: '10.0' } })
  fake.refusals['network.create'] = { kind: 'usage', message: 'want an address and a length', field: 'subnet' }
  await press('Create')
  await waitFor(() => expect(subnet.getAttribute('aria-invalid')).toBe('true'))
  fake.refusals = {}
  await fireEvent.input(subnet, { target: { value: '10.9.0.0/24' } })
  await press('Create')
  await screen.findByText('10.9.0.0/24')
  expect(fake.calls.findLast((c) => c.method === 'network.create')?.params).toEqual({
    name: 'backend',
    subnet: '10.9.0.0/24',
    internal: false,
  })
})
