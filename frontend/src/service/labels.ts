// The states of the service in words, with their tones.
import type { ServiceStatus } from '../lib/api'
import type { Tone } from '../ui/tone'

export const serviceLabels: Record<ServiceStatus['state'], { title: string; text: string; tone: Tone }> = {
  'not-created': {
    title: 'Not set up',
    text: 'Start the service to set up this instance.',
    tone: 'idle',
  },
  stopped: {
    title: 'Stopped',
    text: 'Start the service to use your virtual machines.',
    tone: 'idle',
  },
  starting: { title: 'Starting', text: 'The service is starting.', tone: 'busy' },
  running: { title: 'Running', text: 'The service is running.', tone: 'ok' },
  stopping: { title: 'Stopping', text: 'The service is shutting down its virtual machines.', tone: 'busy' },
  broken: { title: 'Not working', text: 'The service is not responding, or failed to start.', tone: 'problem' },
}
