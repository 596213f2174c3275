import { expect, test } from 'vitest'
import { arrange, byText, itemsOf, marked, span, type Column } from './rows'

interface Thing {
  name: string
  size: number
  project?: string
}
const columns: Column<Thing>[] = [
  { id: 'name', title: 'Name', width: '1fr', compare: (a, b) => byText(a.name, b.name) },
  { id: 'size', title: 'Size', width: '1fr', compare: (a, b) => a.size - b.size },
]
const things: Thing[] = [
  { name: 'web-10', size: 2, project: 'shop' },
  { name: 'alone', size: 9 },
  { name: 'web-2', size: 5, project: 'shop' },
  { name: 'api', size: 5, project: 'blog' },
]
const key = (t: Thing) => t.name
const group = (t: Thing) => t.project
const ids = (more: Partial<Parameters<typeof arrange<Thing>>[1]>) =>
  arrange(things, { key, columns, ...more }).map((e) => e.id)

test('rows are sorted as people count, in both directions', () => {
  expect(ids({ sort: { column: 'name', descending: false } })).toEqual(['alone', 'api', 'web-2', 'web-10'])
  expect(ids({ sort: { column: 'size', descending: true } })).toEqual(['alone', 'web-2', 'api', 'web-10'])
  expect(ids({})).toEqual(['web-10', 'alone', 'web-2', 'api'])
})

test('groups come first by name, and a folded one shows only itself', () => {
  const sort = { column: 'name', descending: false }
  expect(ids({ sort, group })).toEqual(['group blog', 'api', 'group shop', 'web-2', 'web-10', 'alone'])
  expect(ids({ sort, group, folded: new Set(['shop']) })).toEqual(['group blog', 'api', 'group shop', 'alone'])
})

test('a range over a folded group has its items', () => {
  const entries = arrange(things, { key, columns, group, folded: new Set(['shop']) })
  expect(itemsOf(span(entries, 3, 1)).map(key)).toEqual(['api', 'web-10', 'web-2', 'alone'])
})

test('a selection is not changed in place', () => {
  const before = new Set(['a', 'b'])
  expect([...marked(before, ['b', 'c'], true)]).toEqual(['a', 'b', 'c'])
  expect([...marked(before, ['b', 'c'], false)]).toEqual(['a'])
  expect([...before]).toEqual(['a', 'b'])
})
