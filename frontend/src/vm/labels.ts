// The states of a virtual machine in words, with their tones.
import type { VM } from '../lib/api'
import type { Store } from '../lib/store.svelte'
import { count } from '../ui/format'
import type { Badge, Tone } from '../ui/tone'

// Other states are transitions, such as Starting, which are their own labels.
const states: Record<string, { label: string; tone: Tone }> = {
  Running: { label: 'Running', tone: 'ok' },
  Stopped: { label: 'Stopped', tone: 'idle' },
  Created: { label: 'Stopped', tone: 'idle' },
  Paused: { label: 'Paused', tone: 'warning' },
  Unresponsive: { label: 'Unresponsive', tone: 'problem' },
  StartFailed: { label: 'Start failed', tone: 'problem' },
  StopFailed: { label: 'Stop failed', tone: 'problem' },
  CreateFailed: { label: 'Creation failed', tone: 'problem' },
}

export function vmLabel(vm: Pick<VM, 'state'>): string {
  return states[vm.state]?.label ?? vm.state
}

export function vmTone(vm: Pick<VM, 'state' | 'problem'>): Tone {
  const tone = states[vm.state]?.tone ?? 'busy'
  return vm.problem && tone !== 'problem' ? 'warning' : tone
}

// isDown returns whether no guest is running or starting.
export const isDown = (vm: Pick<VM, 'state'>) =>
  ['Stopped', 'Created', 'CreateFailed', 'StartFailed'].includes(vm.state)

export const accelerationLabels: Record<VM['acceleration'], string> = {
  hardware: 'Hardware',
  emulation: 'Software emulation (slow)',
  '?': 'Unknown',
}

export function vmsBadge({ vms }: Pick<Store, 'vms'>): Badge | undefined {
  if (vms.length === 0) return undefined
  return { count: vms.length, label: count(vms.length, 'virtual machine'), tone: 'idle' }
}

// isApp returns whether a VM belongs to the container engine, so that it is changed only with that.
export const isApp = ({ app }: Pick<Store, 'app'>, vm: Pick<VM, 'name'>) => app?.vm === vm.name
