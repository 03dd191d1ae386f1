// The LightQuant panel in ComfyUI's sidebar: the memory bar, and below it one of four parts.

import { app } from "../host.js"
import { element, newId } from "../dom.js"
import { onLanguage, t } from "../text.js"
import { convertPart } from "./convert.js"
import { fitPart } from "./fit.js"
import { inspectPart } from "./inspect.js"
import { kernelsPart } from "./kernels.js"
import { memoryBar, refreshMemory, startMemory } from "./memory.js"

/** The parts: the text of the tab, and what makes it when it is shown first. */
const PARTS = [
  { text: "panel.kernels", build: kernelsPart },
  { text: "panel.inspect", build: inspectPart },
  { text: "panel.convert", build: convertPart },
  { text: "panel.fit", build: fitPart },
]

let panel = null
let shownIn = null
let part = 0

/** Adds the panel to the sidebar. What a part shows stays while the panel is closed. */
export function registerPanel() {
  app.extensionManager.registerSidebarTab({
    id: "lightquant",
    icon: "pi pi-gauge",
    title: "LightQuant",
    label: "Light\u200bQuant", // may break there: the sidebar is narrow
    tooltip: "LightQuant",
    type: "custom",
    render: show,
  })
  startMemory()
  onLanguage(() => {
    panel = null
    if (shownIn?.isConnected) show(shownIn)
  })
}

function show(container) {
  shownIn = container
  container.classList.add("lightquant-container")
  panel ??= build()
  container.replaceChildren(panel)
  refreshMemory()
}

function build() {
  const tabs = PARTS.map(({ text }) => element("button", { type: "button", role: "tab", id: newId() }, t(text)))
  const bodies = tabs.map((tab) => element("section", { role: "tabpanel", id: newId(), "aria-labelledby": tab.id, hidden: true }))
  const list = element("div", { role: "tablist", "aria-label": t("panel.parts"), class: "lightquant-tabs" }, ...tabs)
  const select = (index) => {
    part = index
    tabs.forEach((tab, each) => {
      tab.setAttribute("aria-selected", each === index)
      tab.tabIndex = each === index ? 0 : -1
      bodies[each].hidden = each !== index
    })
    if (!bodies[index].childElementCount) bodies[index].append(...PARTS[index].build())
  }
  tabs.forEach((tab, index) => {
    tab.setAttribute("aria-controls", bodies[index].id)
    tab.addEventListener("click", () => select(index))
  })
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
    if (!step) return
    select((part + step + tabs.length) % tabs.length)
    tabs[part].focus()
  })
  select(part)
  const heading = element("h2", {}, "LightQuant")
  const made = element("div", { class: "lightquant-panel" }, heading, memoryBar(), list, ...bodies)
  made.addEventListener("keydown", (event) => event.key !== "Escape" && event.stopPropagation()) // typing is no shortcut of ComfyUI's
  return made
}
