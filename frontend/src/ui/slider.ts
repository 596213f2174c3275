// grid is where a slider stops: at whole steps. Bounds between two steps still hold.
export function grid(step: number, least: number, most: number) {
  return {
    min: Math.floor(least / step) * step,
    max: Math.ceil(most / step) * step,
    snap: (n: number) => Math.min(most, Math.max(least, Math.round(n / step) * step)),
  }
}
