// States in a person's words, with the tone that picks their colour and shape.
import type { Finding, Service, VM } from './api'

export type Tone = 'ok' | 'busy' | 'idle' | 'warning' | 'problem'

export const serviceWords: Record<Service['state'], { title: string; text: string; tone: Tone }> = {
  'not-created': {
    title: 'Not set up yet',
    text: 'Start the service to set this instance up. Virtual machines run only while it runs.',
    tone: 'idle',
  },
  stopped: {
    title: 'Stopped',
    text: 'The service does not run. Virtual machines keep their disks until it starts again.',
    tone: 'idle',
  },
  starting: { title: 'Starting', text: 'The service is on its way up.', tone: 'busy' },
  running: { title: 'Running', text: 'The service is ready.', tone: 'ok' },
  stopping: { title: 'Stopping', text: 'Virtual machines are being shut down, then the service ends.', tone: 'busy' },
  broken: { title: 'Not working', text: 'The service lives, but it does not answer as it should.', tone: 'problem' },
}

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

const words: Record<string, string> = {
  Created: 'Stopped',
  StartFailed: 'Start failed',
  StopFailed: 'Stop failed',
  CreateFailed: 'Create failed',
}

export function vmWord(vm: Pick<VM, 'state'>): string {
  return words[vm.state] ?? vm.state
}

export function vmTone(vm: Pick<VM, 'state' | 'problem'>): Tone {
  const tone = tones[vm.state] ?? 'busy'
  return vm.problem && tone !== 'problem' ? 'warning' : tone
}

export const down = (vm: Pick<VM, 'state'>) => ['Stopped', 'Created', 'CreateFailed', 'StartFailed'].includes(vm.state)

const severities = ['problem', 'warning', 'ok']

export function bySeverity(findings: Finding[]): Finding[] {
  return findings.toSorted((a, b) => severities.indexOf(a.severity) - severities.indexOf(b.severity))
}

export const accelerationWords: Record<VM['acceleration'], string> = {
  hardware: 'Hardware (fast)',
  emulation: 'Emulation (slow)',
  '?': 'Not known yet',
}
