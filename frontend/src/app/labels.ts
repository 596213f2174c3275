// The states of the container engine in words, with their tones.
import { pending, type Store } from '../lib/store.svelte'
import type { Tone } from '../ui/tone'

const labels: Record<string, { title: string; text: string; tone: Tone }> = {
  'not-created': {
    title: 'Not set up',
    text: 'Start the container engine to run containers on this computer. The first start creates its virtual machine.',
    tone: 'idle',
  },
  stopped: {
    title: 'Stopped',
    text: 'Containers, images and volumes are kept. Start the container engine to use them.',
    tone: 'idle',
  },
  starting: { title: 'Starting', text: 'The container engine is starting.', tone: 'busy' },
  running: { title: 'Running', text: 'The container engine is running.', tone: 'ok' },
  restarting: { title: 'Restarting', text: 'The container engine restarts with its new settings.', tone: 'busy' },
  stopping: { title: 'Stopping', text: 'The container engine is shutting down.', tone: 'busy' },
  deleting: { title: 'Deleting', text: 'The container engine is being deleted.', tone: 'busy' },
  broken: { title: 'Not working', text: 'The container engine can’t start without your help.', tone: 'problem' },
}
export const appLabel = (word: string) => labels[word] ?? { title: word, text: '', tone: 'busy' as Tone }

const engines: Record<string, string> = { moby: 'Docker Engine (Moby)', containerd: 'containerd' }
export const engineLabel = (name: string) => engines[name] ?? name

// appWord is the state of the container engine, including that of the service.
export function appWord(store: Store): string {
  const { app, service } = store.state!
  return app?.state ?? (service.state === 'running' ? 'not-created' : service.state)
}

// isDown returns whether nothing runs or changes.
export const isDown = (word: string) => word === 'not-created' || word === 'stopped'

// appOperation returns the operation on the container engine under way; changes of settings only while nothing else is.
export const appOperation = (store: Store) => store.operations.findLast((o) => o.verb.endsWith('-app') && pending(o))

// appFailure returns the newest operation on the container engine, if it failed.
export function appFailure(store: Store) {
  const last = store.operations.findLast((o) => o.verb.endsWith('-app'))
  return last?.state === 'failed' ? last : undefined
}
