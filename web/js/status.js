// The lines under a loader's widgets: file, format, size, kernel and VRAM, and the way to all schemes with their reasons.

import { element } from "./dom.js"
import { filesOf, loaderOf, widgetOf } from "./loaders.js"
import { size } from "./sizes.js"
import { STATES } from "./states.js"
import { t } from "./text.js"

const NAME = "lightquant_status"
const LINE = 17 // pixels, as in the style sheet
const MARGIN = 6
const AROUND = 2 * (MARGIN + 5)

/** Adds the lines to a loader; they are part of no saved workflow and of no prompt. choose: called when the user wants to see all schemes. */
export function addStatus(node, choose) {
  const lines = element("div", { class: "lightquant-lines", role: "group" })
  const open = element("button", { type: "button", class: "lightquant-open", on: { click: () => choose(node) } })
  const height = 3 * LINE * Object.keys(loaderOf(node).checkpoints).length + AROUND
  const fixed = { getMinHeight: () => height, getMaxHeight: () => height }
  const root = element("div", { class: "lightquant-status" }, lines, open)
  const widget = node.addDOMWidget(NAME, "lightquant_status", root, { serialize: false, margin: MARGIN, hideOnZoom: true, ...fixed })
  widget.serialize = false
  node.setSize([Math.max(node.size[0], 320), Math.max(node.size[1], node.computeSize()[1])])
  showStatus(node, null)
}

/** Shows what a choice says; null: nothing is known yet, or the server does not answer. */
export function showStatus(node, choice) {
  const root = widgetOf(node, NAME)?.element
  if (!root) return
  const [lines, open] = root.children
  lines.setAttribute("aria-label", t("status.about"))
  lines.replaceChildren(...(choice ? filesOf(choice).flatMap(linesOf) : [line(t("status.asking"))]))
  open.textContent = t("status.schemes")
  open.title = t("status.schemesHint")
  open.hidden = !choice
}

function linesOf(file) {
  const facts = [file.format, size(file.bytes), file.model].filter(Boolean).join(" · ")
  const about = [line(file.file ?? t("status.noFile"), file.file), line(facts, file.format_note)]
  return [...about, file.problem ? problemLine(file.problem) : kernelLine(file)]
}

function kernelLine({ chosen, weights_vram: vram, schemes = [] }) {
  const own = schemes.find((scheme) => scheme.name === chosen?.scheme)
  const state = own?.state ?? "runs"
  const kernel = element("b", { "data-lightquant": state }, chosen?.kernel ?? "")
  const weights = vram === null ? "" : ` · ${t("status.vram", { size: size(vram) })}`
  return element("div", { class: "lightquant-line", title: [t(STATES[state].text), chosen?.why].filter(Boolean).join(": ") }, kernel, weights)
}

const problemLine = (text) => element("div", { class: "lightquant-line lightquant-problem", title: text }, text)

const line = (text, title) => element("div", { class: "lightquant-line", title: title || null }, text)
