// The states of the service in words, with their tones.
import type { ServiceStatus } from '../lib/api'
import type { Tone } from '../ui/tone'

export const serviceLabels: Record<ServiceStatus['state'], { title: string; text: string; tone: Tone }> = {
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
