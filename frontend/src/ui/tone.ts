// A tone picks the colour and the shape of an icon.
export type Tone = 'ok' | 'busy' | 'idle' | 'warning' | 'problem'

// A Badge is a number beside a title.
export interface Badge {
  count: number
  label: string // what is counted, for screen readers: "2 findings"
  tone: Extract<Tone, 'idle' | 'warning' | 'problem'>
}
