// The memory bar: what the loaders of the graph need of the card, and what is on it now. It asks only after something has changed.

import { api, debounced } from "../host.js"
import { element } from "../dom.js"
import { filesOf } from "../loaders.js"
import { ask } from "../server.js"
import { size } from "../sizes.js"
import { onLanguage, t } from "../text.js"
import { choices, onChoice, onGraph } from "../watch.js"

const WAIT = 500
const FINISHED = ["execution_success", "execution_error", "execution_interrupted"]

const root = element("div", { class: "lightquant-memory" })

let card = null

/** The bar, empty until the server has answered. */
export const memoryBar = () => root

/** Asks the server for the card's memory, once for all calls of a moment. */
export const refreshMemory = debounced(refresh, WAIT)

/** Keeps the bar up to date while it is shown. */
export function startMemory() {
  for (const event of FINISHED) api.addEventListener(event, refreshMemory)
  onChoice(refreshMemory)
  onGraph(draw)
  onLanguage(draw)
}

async function refresh() {
  if (!root.isConnected) return
  card = await ask("memory").catch(() => null)
  draw()
}

function draw() {
  if (!card?.total) return root.replaceChildren()
  const wanted = choices().flatMap(([node, choice]) => (choice ? filesOf(choice).map((file) => [node.title, file.weights_vram ?? 0]) : []))
  const held = card.models.map((model) => [model.title, model.in_vram])
  const others = Math.max(0, card.total - card.free - sum(held))
  root.replaceChildren(
    bar(t("memory.graph", { size: size(sum(wanted)), device: card.device, total: size(card.total) }), wanted, sum(wanted) > card.total),
    bar(t("memory.now", { device: card.device, ours: size(sum(held)), others: size(others), free: size(card.free) }), [...held, [null, others]]),
  )
}

const sum = (parts) => parts.reduce((total, [, bytes]) => total + bytes, 0)

/** parts: [what it is or null for other programs, bytes]. */
function bar(text, parts, isTooMuch = false) {
  const whole = Math.max(card.total, sum(parts))
  const pieces = parts.filter(([, bytes]) => bytes > 0).map(([title, bytes]) => {
    const piece = element("span", { class: title === null ? "lightquant-others" : "", title: `${title ?? t("memory.others")}: ${size(bytes)}` })
    piece.style.width = `${(100 * bytes) / whole}%`
    return piece
  })
  const label = isTooMuch ? `${text} ${t("memory.tooMuch")}` : text
  return element("div", { class: isTooMuch ? "lightquant-too-much" : "" }, element("div", {}, label), element("div", { class: "lightquant-bar", role: "img", "aria-label": label }, ...pieces))
}
