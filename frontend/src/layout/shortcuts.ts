// Keyboard shortcuts that work on every page, in the order of the list.
import type { UI } from '../lib/ui.svelte'
import { pages, type Page } from '../pages'

export interface Shortcut {
  keys: string
  what: string
  matches: (e: KeyboardEvent) => boolean
  run: (ui: UI) => void
}

const alt = (code: string) => (e: KeyboardEvent) =>
  e.altKey && !e.ctrlKey && !e.metaKey && !e.shiftKey && e.code === code
const plain = (key: string) => (e: KeyboardEvent) =>
  !e.altKey && !e.ctrlKey && !e.metaKey && e.key === key && !typing(e)

// The first ten pages have the digits from 1 to 0.
const numbered = pages.slice(0, 10)
const digit = (page: Page) => (numbered.indexOf(page) + 1) % 10

// pageKeys returns the keys that open a page, if there are any.
export const pageKeys = (page: Page) => (numbered.includes(page) ? `Alt+${digit(page)}` : undefined)

export const shortcuts: Shortcut[] = [
  ...numbered.map((page) => ({
    keys: `Alt+${digit(page)}`,
    what: page.title,
    matches: alt(`Digit${digit(page)}`),
    run: (ui: UI) => ui.go(`#/${page.id}`),
  })),
  { keys: 'Alt+N', what: 'New virtual machine', matches: alt('KeyN'), run: (ui) => (ui.dialog = 'create') },
  { keys: '/', what: 'Search this page', matches: plain('/'), run: focusSearch },
  {
    keys: 'F6',
    what: 'Go to the next area (also leaves a shell or an editor)',
    matches: (e) => e.key === 'F6' && !e.shiftKey,
    run: nextRegion,
  },
  { keys: '?', what: 'Show keyboard shortcuts', matches: plain('?'), run: (ui) => (ui.dialog = 'shortcuts') },
]

export const localKeys = [
  { keys: 'Arrow keys, Home, End', what: 'Move in the sidebar, in lists and between tabs' },
  { keys: 'Enter', what: 'Open the selected item' },
  { keys: 'Escape', what: 'Close the dialog (operations continue in the background)' },
]

function typing(e: KeyboardEvent): boolean {
  const at = e.target as HTMLElement | null
  return !!at?.closest(
    'input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable=true]',
  )
}

function focusSearch() {
  document.querySelector<HTMLElement>('main input[type=search]')?.focus()
}

function nextRegion() {
  const regions = [...document.querySelectorAll<HTMLElement>('[data-region]')]
  const at = regions.findIndex((r) => r.contains(document.activeElement))
  const next = regions[(at + 1) % regions.length]
  const target = next?.querySelector<HTMLElement>('[aria-current=page], button, a[href], input') ?? next
  target?.focus()
}

// Shortcuts do nothing while a dialog is open.
export function onkeydown(ui: UI): (e: KeyboardEvent) => void {
  return (e) => {
    if (e.defaultPrevented || document.querySelector('dialog[open]')) return
    const hit = shortcuts.find((s) => s.matches(e))
    if (!hit) return
    e.preventDefault()
    hit.run(ui)
  }
}
