// Sizes and times as people read them.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"]

/** "13.5 GiB" of bytes; "" where they aren't known. */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return ""
  const unit = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10))
  const figure = bytes / 1024 ** unit
  return `${unit && figure < 100 ? figure.toFixed(1) : Math.round(figure)} ${UNITS[unit]}`
}

/** "2:05" of seconds. */
export function duration(seconds) {
  const whole = Math.round(seconds)
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`
}
