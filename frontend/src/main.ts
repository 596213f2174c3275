import { mount } from 'svelte'
import './app.css'
import App from './App.svelte'
import { fixNavigator } from './ui/locale'
import { apply, remembered } from './ui/theme'
import { Transport, type Remote } from './lib/transport'

fixNavigator()
apply(remembered())

// `vite --mode fake` has no Go side: the page talks to a fake.
async function remote(): Promise<Remote> {
  if (import.meta.env.MODE === 'fake') return (await import('./testing/fake')).fromAddress()
  return new Transport()
}

mount(App, { target: document.body, props: { remote: await remote() } })
