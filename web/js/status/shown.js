// The status in ComfyUI's new node rendering: elements, that can be reached by keyboard and selected as text.

import { element } from "../dom.js"
import { app } from "../host.js"
import { markWith } from "../states.js"
import { t } from "../text.js"
import { ROWS_A_FILE } from "./lines.js"

const LINE = 17 // pixels, as in the style sheet
const PAD = 4

/** Adds a widget that shows lines (lines.js) to a node. Its button calls open. files: how many the loader takes. */
export function addShownStatus(node, name, files, open) {
  const lines = element("div", { class: "lightquant-lines", role: "group" })
  const schemes = element("button", { type: "button", class: "lightquant-open", on: { click: () => open(node) } })
  const height = ROWS_A_FILE * files * LINE + 2 * PAD
  const fixed = { getMinHeight: () => height, getMaxHeight: () => height }
  const root = element("div", { class: "lightquant-status" }, lines, schemes)
  const widget = node.addDOMWidget(name, "lightquant_shown", root, { serialize: false, ...fixed })
  widget.serialize = false
  widget.show = (next, hint) => {
    lines.setAttribute("aria-label", t("status.about"))
    lines.replaceChildren(...next.flatMap((line, index) => (index ? [element("br"), lineOf(line)] : [lineOf(line)])))
    schemes.textContent = t("status.schemes")
    schemes.title = hint
    takePlace(node, root)
  }
  return widget
}

/** Puts the status where the page still shows that of an earlier node of this number: after undo, or another workflow, it keeps its elements. */
function takePlace(node, root) {
  if (node.graph !== app.canvas.graph) return
  const old = document.querySelector(`[data-node-id="${node.id}"] .lightquant-status`)
  if (old && old !== root) old.replaceWith(root)
}

function lineOf({ text, title, state, rows, isProblem }) {
  const classes = ["lightquant-line", rows && "lightquant-lines-2", isProblem && "lightquant-problem"].filter(Boolean).join(" ")
  const made = element("span", { class: classes, title: title || text }, text)
  return state ? markWith(made, state) : made
}
