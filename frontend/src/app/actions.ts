// What changes the container engine as a whole. The texts of the dialogs are here, because several pages have these actions.
import type { Ref } from '../lib/api'
import type { Store } from '../lib/store.svelte'
import type { UI } from '../lib/ui.svelte'
import { appOperation } from './labels'

// How an operation is begun: with ui.act, whose progress is a dialog, or where the page shows the progress itself.
export type Begin = (what: string, call: () => Promise<Ref>) => Promise<unknown>

export const startApp = (store: Store, begin: Begin) =>
  begin('start the container engine', () => store.call('app.start', {}))
export const stopApp = (store: Store, begin: Begin) =>
  begin('stop the container engine', () => store.call('app.stop', {}))
export const restartApp = (store: Store, begin: Begin) =>
  begin('restart the container engine', () => store.call('app.restart', {}))

// cancelApp undoes a start, whoever began it: what was starting stops.
export async function cancelApp(store: Store, ui: UI, begin: Begin) {
  const o = appOperation(store)
  if (!o) {
    await stopApp(store, begin)
    return
  }
  const undone = await ui.attempt('cancel the start', () => store.call('operation.cancel', { id: o.id }))
  if (undone?.operation) ui.dismiss(o.id) // nothing of it continues
}

export function forceStopApp(store: Store, ui: UI, begin: Begin) {
  ui.confirmation = {
    title: 'Force stop the container engine?',
    text: 'This powers off its virtual machine immediately. Use it if a normal stop does not work.',
    keeps: ['containers, images, volumes and settings'],
    loses: ['data that containers have not written to disk'],
    action: 'Force stop',
    run: () => void begin('force stop the container engine', () => store.call('app.stop', { force: true })),
  }
}

export const resetKeeps = ['containers, images, volumes and settings']
export const resetLoses = ['what was changed in the virtual machine outside of containers']

export function resetApp(store: Store, ui: UI, begin: Begin) {
  ui.confirmation = {
    title: 'Reset the virtual machine of the container engine?',
    text: 'The virtual machine gets a new system disk, for when it was broken from within. If it is running, it is restarted.',
    keeps: resetKeeps,
    loses: resetLoses,
    action: 'Reset',
    run: () => void begin('reset the virtual machine', () => store.call('app.reset', {})),
  }
}

export function deleteApp(store: Store, ui: UI, begin: Begin) {
  ui.confirmation = {
    title: 'Delete the container engine?',
    text: 'If it is running, it is stopped first. Its docker context is removed, too.',
    loses: ['all containers, images and volumes', 'the virtual machine and its disks'],
    type: 'delete',
    action: 'Delete everything',
    run: () => void begin('delete the container engine', () => store.call('app.delete', {})),
  }
}
