import { fireEvent, render, screen, waitFor } from '@testing-library/svelte'
import { createRawSnippet } from 'svelte'
import { expect, test, vi } from 'vitest'
import Table from './Table.svelte'
import { byText, type Column } from './rows'

interface Thing {
  name: string
  project?: string
}
const columns: Column<Thing>[] = [
  { id: 'name', title: 'Name', width: '1fr', compare: (a, b) => byText(a.name, b.name) },
  { id: 'project', title: 'Project', width: '1fr' },
]
const cell = createRawSnippet<[Thing, string, number]>((item, column) => ({
  render: () => `<span>${column() === 'name' ? item().name : (item().project ?? '')}</span>`,
}))
const things = (n: number): Thing[] => Array.from({ length: n }, (_, i) => ({ name: `t${i}` }))

function shown(items: Thing[], more: Record<string, unknown> = {}) {
  const props = propsOf(items, more)
  render(Table<Thing>, { props })
  return props
}
const propsOf = (items: Thing[], more: Record<string, unknown>) => ({
  label: 'Things',
  items,
  key: (t: Thing) => t.name,
  name: (t: Thing) => t.name,
  columns,
  cell,
  selected: new Set<string>() as ReadonlySet<string>,
  sort: { column: 'name', descending: false },
  ...more,
})

const row = (id: string) => document.querySelector<HTMLElement>(`[data-id="${id}"]`)
const focused = () => document.activeElement?.getAttribute('data-id')
const selected = () =>
  screen
    .getAllByRole('row')
    .filter((r) => r.getAttribute('aria-selected') === 'true')
    .map((r) => r.dataset.id)
const key = (name: string, more = {}) => fireEvent.keyDown(document.activeElement!, { key: name, ...more })

test('of 1,000 rows only those in sight are in the document, and the count is still known', () => {
  shown(things(1000))
  expect(screen.getByRole('grid').getAttribute('aria-rowcount')).toBe('1001')
  expect(screen.getAllByRole('row').length).toBeLessThan(60)
  expect(row('t1')!.getAttribute('aria-rowindex')).toBe('3')
})

test('a header sorts in both directions', async () => {
  shown([{ name: 'b' }, { name: 'a' }])
  const ids = () => screen.getAllByRole('row').flatMap((r) => r.dataset.id ?? [])
  expect(ids()).toEqual(['a', 'b'])
  await fireEvent.click(screen.getByRole('button', { name: 'Name' }))
  expect(ids()).toEqual(['b', 'a'])
  expect(screen.getByRole('columnheader', { name: 'Name' }).getAttribute('aria-sort')).toBe('descending')
})

test('Shift selects a range, and the box above selects all', async () => {
  shown(things(6))
  await fireEvent.click(screen.getByRole('checkbox', { name: 'Select t1' }))
  await fireEvent.click(screen.getByRole('checkbox', { name: 'Select t4' }), { shiftKey: true })
  expect(selected()).toEqual(['t1', 't2', 't3', 't4'])
  const all = screen.getByRole('checkbox', { name: 'Select all' }) as HTMLInputElement
  expect(all.indeterminate).toBe(true)
  await fireEvent.click(all)
  expect(selected()).toHaveLength(6)
  await fireEvent.click(all)
  expect(selected()).toEqual([])
})

test('the keyboard moves, selects and opens', async () => {
  const [onopen, ondelete] = [vi.fn(), vi.fn()]
  shown(things(6), { onopen, ondelete })
  row('t0')!.focus()
  await key('ArrowDown')
  await waitFor(() => expect(focused()).toBe('t1'))
  await key(' ')
  expect(selected()).toEqual(['t1'])
  await key('ArrowDown', { shiftKey: true })
  await waitFor(() => expect(focused()).toBe('t2'))
  expect(selected()).toEqual(['t1', 't2'])
  await key('Enter')
  expect(onopen).toHaveBeenCalledWith({ name: 't2' })
  await key('Escape')
  expect(selected()).toEqual([])
  await key('Delete')
  expect(selected()).toEqual(['t2'])
  expect(ondelete).toHaveBeenCalledOnce()
  await key('End')
  await waitFor(() => expect(focused()).toBe('t5'))
  await key('a', { ctrlKey: true })
  expect(selected()).toHaveLength(6)
})

test('a group folds with the arrow keys, and is selected as a whole', async () => {
  shown([{ name: 'a', project: 'shop' }, { name: 'b', project: 'shop' }, { name: 'c' }], {
    group: (t: Thing) => t.project,
  })
  const shop = row('group shop')!
  expect(shop.getAttribute('aria-expanded')).toBe('true')
  await fireEvent.click(screen.getByRole('checkbox', { name: 'Select shop' }))
  expect(selected()).toEqual(['group shop', 'a', 'b'])
  row('b')!.focus()
  await key('ArrowLeft')
  await waitFor(() => expect(focused()).toBe('group shop'))
  await key('ArrowLeft')
  expect(row('a')).toBeNull()
  await key('ArrowRight')
  expect(row('a')).toBeTruthy()
})

test('without items it shows what the caller says', () => {
  shown([], { empty: createRawSnippet(() => ({ render: () => '<p>Nothing yet</p>' })) })
  screen.getByText('Nothing yet')
  expect(screen.queryByRole('grid')).toBeNull()
})
