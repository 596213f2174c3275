// What a Table shows: its items sorted, in groups that can be folded.

export interface Column<T> {
  id: string
  title: string
  unseen?: boolean // the title is for screen readers only
  width: string // a track of a CSS grid
  compare?: (a: T, b: T) => number // a column with it can be sorted by
  end?: boolean // numbers are aligned at the end
  from?: number // px of the table's width, below which the column is hidden
}

export interface Sort {
  column: string
  descending: boolean
}

export interface Group<T> {
  name: string
  items: T[]
  open: boolean
}

// An Entry is a row: of a group, or of an item, inside a group or not.
export type Entry<T> = { id: string; group: Group<T> } | { id: string; item: T; inside: boolean }

export interface Arrangement<T> {
  key: (item: T) => string
  columns: readonly Column<T>[]
  sort?: Sort
  group?: (item: T) => string | undefined
  folded?: ReadonlySet<string> // names of groups
}

const words = new Intl.Collator('en', { numeric: true, sensitivity: 'base' })

// byText sorts "web-2" before "web-10".
export const byText = (a: string, b: string) => words.compare(a, b)

// arrange returns the rows in their order: groups by name, then the items without a group. Equal items keep their order.
export function arrange<T>(items: readonly T[], { key, columns, sort, group, folded }: Arrangement<T>): Entry<T>[] {
  const compare = columns.find((c) => c.id === sort?.column)?.compare
  const sign = sort?.descending ? -1 : 1
  const sorted = compare ? items.toSorted((a, b) => sign * compare(a, b)) : items
  const groups = new Map<string, T[]>()
  const rest: T[] = []
  for (const item of sorted) {
    const name = group?.(item)
    if (!name) rest.push(item)
    else if (groups.has(name)) groups.get(name)!.push(item)
    else groups.set(name, [item])
  }
  const entries: Entry<T>[] = []
  for (const name of [...groups.keys()].sort(byText)) {
    const of = groups.get(name)!
    const open = !folded?.has(name)
    entries.push({ id: `group ${name}`, group: { name, items: of, open } })
    if (open) entries.push(...of.map((item) => ({ id: key(item), item, inside: true })))
  }
  entries.push(...rest.map((item) => ({ id: key(item), item, inside: false })))
  return entries
}

// itemsOf returns the items of some rows, those of folded groups included.
export function itemsOf<T>(entries: readonly Entry<T>[]): T[] {
  return entries.flatMap((e) => ('item' in e ? [e.item] : e.group.open ? [] : e.group.items))
}

// span returns the rows between two, both included.
export function span<T>(entries: readonly Entry<T>[], from: number, to: number): Entry<T>[] {
  return entries.slice(Math.min(from, to), Math.max(from, to) + 1)
}

// marked returns a selection in which some keys are selected or not.
export function marked(selected: ReadonlySet<string>, keys: readonly string[], on: boolean): ReadonlySet<string> {
  const next = new Set(selected)
  for (const key of keys) {
    if (on) next.add(key)
    else next.delete(key)
  }
  return next
}
