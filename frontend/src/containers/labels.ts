// The states of a container in words, with their tones.
import type { Container } from '../lib/api'
import type { Store } from '../lib/store.svelte'
import { count } from '../ui/format'
import type { Badge, Tone } from '../ui/tone'

const words: Record<Container['state'], string> = {
  created: 'Created',
  running: 'Running',
  paused: 'Paused',
  restarting: 'Restarting',
  removing: 'Deleting',
  exited: 'Stopped',
  dead: 'Dead',
}

const healths: Record<string, string> = { starting: 'Starting', healthy: 'Healthy', unhealthy: 'Unhealthy' }

// isUp returns whether the container has processes.
export const isUp = (c: Pick<Container, 'state'>) => ['running', 'paused', 'restarting'].includes(c.state)

// A container that was stopped or killed by the user has one of these codes, too: SIGKILL and SIGTERM.
const quietCodes = [0, 137, 143]
const failed = (c: Pick<Container, 'state' | 'exitCode'>) =>
  c.state === 'exited' && c.exitCode !== undefined && !quietCodes.includes(c.exitCode)

export function stateLabel(c: Pick<Container, 'state' | 'health' | 'exitCode'>): string {
  if (c.state === 'running' && c.health) return healths[c.health] ?? words.running
  return failed(c) ? `Exited (${c.exitCode})` : words[c.state]
}

export function stateTone(c: Pick<Container, 'state' | 'health' | 'exitCode'>): Tone {
  if (c.state === 'restarting' || c.state === 'removing') return 'busy'
  if (c.state === 'paused') return 'warning'
  if (c.state === 'dead' || failed(c)) return 'problem'
  if (c.state !== 'running') return 'idle'
  return c.health === 'unhealthy' ? 'problem' : c.health === 'starting' ? 'busy' : 'ok'
}

// The states that a list can be narrowed to.
export const stateFilters = [
  { id: '', title: 'All states', matches: () => true },
  { id: 'running', title: 'Running', matches: (c: Container) => c.state === 'running' },
  { id: 'unhealthy', title: 'Unhealthy', matches: (c: Container) => c.health === 'unhealthy' && isUp(c) },
  { id: 'paused', title: 'Paused', matches: (c: Container) => c.state === 'paused' },
  { id: 'restarting', title: 'Restarting', matches: (c: Container) => c.state === 'restarting' },
  { id: 'stopped', title: 'Stopped', matches: (c: Container) => !isUp(c) },
] as const
export type StateFilter = (typeof stateFilters)[number]['id']

// summary counts the states of some containers: "3 running, 1 stopped".
export function summary(containers: readonly Pick<Container, 'state'>[]): string {
  const n = (...states: Container['state'][]) => containers.filter((c) => states.includes(c.state)).length
  const counts: [number, string][] = [
    [n('running'), 'running'],
    [n('paused'), 'paused'],
    [n('restarting'), 'restarting'],
    [n('created', 'exited', 'dead', 'removing'), 'stopped'],
  ]
  return counts
    .filter(([number]) => number > 0)
    .map(([number, word]) => `${number} ${word}`)
    .join(', ')
}

export const shortID = (id: string) => id.replace(/^sha256:/, '').slice(0, 12)

export function containersBadge({ engine }: Pick<Store, 'engine'>): Badge | undefined {
  const running = engine.containers.filter((c) => c.state === 'running').length
  return running ? { count: running, label: count(running, 'running container'), tone: 'idle' } : undefined
}

// nerdctlOf is what nerdctl is asked about a container of containerd. It knows the container of a pod by its ID only.
export const nerdctlOf = (c: Pick<Container, 'namespace' | 'name' | 'id'>, verb: string) =>
  `--namespace ${c.namespace} ${verb} ${c.name.includes('/') ? c.id : c.name}`
