// An open scheme dropdown shows which schemes run here, as a mark and as a reason on hover, in both of ComfyUI's node renderings.
//
// Neither lets an extension say more of an entry than its text, so the entries are marked once they are on the page.
// Where a newer page builds its dropdowns otherwise, they are as ComfyUI makes them; the dialog (chooser.js) has the same and more.

import { app, chain } from "./host.js"
import { loaderOf, widgetOf } from "./loaders.js"
import { STATES, markWith } from "./states.js"
import { t } from "./text.js"
import { choiceOf } from "./watch.js"

const CLASSIC = ".litecontextmenu .litemenu-entry[data-value]"
const NEW = '[role="option"]'

let pressed = null

/** Remembers a loader whose scheme widget is pressed, until the next press: the menu of the classic rendering does not tell whose it is. */
export function rememberPress(node) {
  chain(widgetOf(node, "scheme"), "onPointerDown", () => {
    pressed = node
  })
}

/** Marks the entries of scheme dropdowns as they open. */
export function startMarking() {
  const filtered = new MutationObserver(mark)
  const opened = new MutationObserver((changes) => {
    if (!changes.some((change) => change.addedNodes.length)) return
    mark()
    filtered.disconnect()
    const popup = document.querySelector(NEW)?.closest('[role="listbox"]')
    if (popup) filtered.observe(popup, { childList: true, subtree: true })
  })
  opened.observe(document.body, { childList: true })
  const forget = () => {
    pressed = null
  }
  document.addEventListener("pointerdown", forget, { capture: true }) // before a widget hears of it
}

function mark() {
  const classic = [...document.querySelectorAll(CLASSIC)]
  const entries = classic.length ? classic : [...document.querySelectorAll(NEW)]
  const node = entries.length && (classic.length ? pressed : nodeOfNew())
  const choice = node && choiceOf(node)
  if (!choice) return
  const schemes = new Map(choice.schemes.map((scheme) => [scheme.name, scheme]))
  const names = entries.map((entry) => entry.dataset.value ?? entry.textContent.trim())
  if (!names.some((name) => schemes.has(name))) return // another dropdown of the node
  let last = null
  entries.forEach((entry, index) => {
    const scheme = schemes.get(names[index])
    if (!scheme) return
    markWith(entry, scheme.fits ? scheme.state : "unfit")
    entry.toggleAttribute("data-lightquant-first", scheme.state !== last)
    entry.title = reasonOf(scheme)
    last = scheme.state
  })
}

/** Why a scheme runs here, or doesn't, in one line. */
export function reasonOf(scheme) {
  const state = scheme.state === "replaced" ? t("scheme.replacedBy", { kernel: scheme.kernel }) : t(STATES[scheme.state].text)
  return `${scheme.fits ? state : t("scheme.unfit", { format: scheme.format })}: ${scheme.why}`
}

function nodeOfNew() {
  const trigger = document.querySelector('[data-node-id] [role="combobox"][aria-expanded="true"]')
  const node = trigger && app.canvas.graph?.getNodeById(trigger.closest("[data-node-id]").dataset.nodeId)
  return loaderOf(node) ? node : null
}
