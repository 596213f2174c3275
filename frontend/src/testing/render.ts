import { fireEvent, render, screen } from '@testing-library/svelte'
import type { Component } from 'svelte'
import type { Store } from '../lib/store.svelte'
import type { UI } from '../lib/ui.svelte'
import { Fake } from './fake'
import Harness from './Harness.svelte'

// show renders a component, and the dialog that is open, over a Fake.
export function show(fake = new Fake('usual', 20), component?: unknown, given: Record<string, unknown> = {}) {
  let ui!: UI
  let store!: Store
  const ready = (s: Store, u: UI) => ((store = s), (ui = u))
  render(Harness, { fake, component: component as Component<never>, given, ready })
  return { fake, ui, store }
}

export const press = async (name: string | RegExp) => fireEvent.click(await screen.findByRole('button', { name }))
