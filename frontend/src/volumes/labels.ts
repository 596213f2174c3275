// Volumes in words.
import type { Volume } from '../lib/api'

// isAnonymous returns whether the engine made up the name.
export const isAnonymous = (v: Pick<Volume, 'name'>) => /^[0-9a-f]{64}$/.test(v.name)

export const volumeName = (v: Pick<Volume, 'name'>) => (isAnonymous(v) ? `${v.name.slice(0, 12)}…` : v.name)

export const isUsed = (v: Pick<Volume, 'containers'>) => !!v.containers?.length
