// The status in ComfyUI's classic rendering: drawn with the node, as elements over the canvas would cost milliseconds a frame.

import { app } from "../host.js"
import { STATES } from "../states.js"
import { ROWS_A_FILE } from "./lines.js"
import { pictured } from "./picture.js"

const LINE = 16
const PAD = 6
const SIDE = 15 // as ComfyUI's own widgets keep from the node's edges
const FONT = "12px Inter, Arial, sans-serif"
const READABLE = 8 / 12 // pixels of the screen a pixel of the node: ComfyUI leaves out its own texts that are smaller than 8 pixels, too
const ELLIPSIS = "…"
const MORE = " ⋯"

/**
 * A widget that draws lines (lines.js); a click on it calls open.
 * files: how many the loader takes.
 */
export function drawnStatus(name, files, open) {
  const height = ROWS_A_FILE * files * LINE + 2 * PAD
  let lines = []
  let shown = ""
  const draw = pictured((context, width) => paint(context, lines, width, height))
  return {
    type: "lightquant_drawn",
    name,
    value: "",
    serialize: false,
    options: { serialize: false },
    computeSize: () => [0, height],
    show(next, hint) {
      lines = next
      shown = JSON.stringify(lines)
      this.tooltip = [...lines.flatMap(({ text, title }) => [text, title]), hint].filter(Boolean).join("\n")
    },
    onPointerDown(pointer, node) {
      pointer.onClick = () => open(node)
      return true
    },
    draw(context, node, width, y, _height, isSmall) {
      const at = context.getTransform()
      const isReadable = !isSmall && at.a >= READABLE
      if (isReadable) return draw(context, at, SIDE, y, width - 2 * SIDE, height, shown, isDark, LiteGraph.WIDGET_BGCOLOR)
      context.fillStyle = LiteGraph.WIDGET_BGCOLOR
      context.fillRect(SIDE, y, width - 2 * SIDE, height)
    },
  }
}

function paint(context, lines, width, height) {
  context.fillStyle = LiteGraph.WIDGET_BGCOLOR
  context.beginPath()
  context.roundRect(0, 0, width, height, 6)
  context.fill()
  context.font = FONT
  rowsOf(context, lines, width - 2 * PAD).forEach(([text, line], index) => {
    context.fillStyle = colourOf(line)
    context.fillText(text, PAD, PAD + LINE * (index + 0.75))
  })
}

const textOf = ({ text, state }) => (state ? `${STATES[state].mark} ${text}` : text)

/** The rows of the lines, as [text, line], each as much as the width has room for; the first ends with the sign that there is more. */
function rowsOf(context, lines, width) {
  const more = context.measureText(MORE).width
  const all = lines.flatMap((line, index) => {
    const rows = []
    let rest = textOf(line)
    for (let left = line.rows ?? 1; left > 0 && rest; left--) {
      const length = fitting(context, rest, index ? width : width - more)
      const end = length < rest.length && left > 1 ? rest.lastIndexOf(" ", length) + 1 || length : length
      rows.push([left === 1 && end < rest.length ? rest.slice(0, Math.max(0, end - 1)) + ELLIPSIS : rest.slice(0, end), line])
      rest = rest.slice(end)
    }
    return rows
  })
  all[0][0] += MORE
  return all
}

/** How many characters of the text the width has room for. */
function fitting(context, text, width) {
  if (context.measureText(text).width <= width) return text.length
  let [low, high] = [0, text.length]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (context.measureText(text.slice(0, middle)).width <= width) low = middle
    else high = middle
  }
  return low
}

let isDark = false // kept, as asking the page in every frame takes time

/** Draws the nodes again when the page's theme has changed, which ComfyUI does after it has drawn them. */
export function followTheme() {
  const follow = () => {
    isDark = document.body.classList.contains("dark-theme")
    app.canvas?.setDirty(true, true)
  }
  follow()
  new MutationObserver(follow).observe(document.body, { attributeFilter: ["class"] })
}

/** The style sheet's colour of a state in the page's theme. */
function colourOf({ state, isProblem }) {
  const name = isProblem ? "cannot" : state
  return name ? getComputedStyle(document.body).getPropertyValue(`--lightquant-${name}`) : LiteGraph.WIDGET_TEXT_COLOR
}
