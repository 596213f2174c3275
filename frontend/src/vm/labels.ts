// The states of a virtual machine in words, with their tones.
import type { VM } from '../lib/api'
import type { Store } from '../lib/store.svelte'
import { count } from '../ui/format'
import type { Badge, Tone } from '../ui/tone'

const tones: Record<string, Tone> = {
  Running: 'ok',
  Stopped: 'idle',
  Created: 'idle',
  Paused: 'warning',
  Unresponsive: 'problem',
  StartFailed: 'problem',
  StopFailed: 'problem',
  CreateFailed: 'problem',
}

const labels: Record<string, string> = {
  Created: 'Stopped',
  StartFailed: 'Start failed',
  StopFailed: 'Stop failed',
  CreateFailed: 'Creation failed',
}

export function vmLabel(vm: Pick<VM, 'state'>): string {
  return labels[vm.state] ?? vm.state
}

export function vmTone(vm: Pick<VM, 'state' | 'problem'>): Tone {
  const tone = tones[vm.state] ?? 'busy'
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
