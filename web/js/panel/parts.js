// What the parts of the panel are made of.

import { button, dropdown, element } from "../dom.js"
import { optionsOf } from "../definitions.js"
import { t } from "../text.js"

/** By component, what it is called and the node whose dropdown has its checkpoints. */
const COMPONENTS = {
  dit: { text: "panel.dit", loader: "LightQuantLoadDiT" },
  t5: { text: "panel.t5", loader: "LightQuantLoadT5" },
  clip: { text: "panel.clip", loader: "LightQuantLoadCLIP" },
}

const SEARCHING = "find it" // the loaders' own first entry, which is no file

/** Dropdowns of components and of the chosen one's checkpoints, which `/lightquant` routes take by these names. */
export function checkpointFields() {
  const component = dropdown(Object.entries(COMPONENTS).map(([name, { text }]) => [name, t(text)]), "dit")
  const checkpoint = element("select")
  const fill = () => {
    const names = optionsOf(COMPONENTS[component.value].loader, "checkpoint").filter((name) => name !== SEARCHING)
    checkpoint.replaceChildren(...names.map((name) => element("option", { value: name }, name)))
  }
  component.addEventListener("change", fill)
  fill()
  return { component, checkpoint, fill }
}

/**
 * A button that does something on the server. Meanwhile it is out of use and `said` tells so; a refusal is told there too.
 * work: gives a promise.
 */
export function working(text, said, work) {
  const made = button(text, async () => {
    made.disabled = true
    said.className = "lightquant-said"
    said.textContent = t("panel.working")
    try {
      said.textContent = (await work()) ?? ""
    } catch (problem) {
      said.classList.add("lightquant-problem")
      said.textContent = problem.message
    }
    made.disabled = false
  })
  made.classList.add("lightquant-main")
  return made
}

/** The place where a part tells what happened; screen readers read what is put there. */
export const saying = () => element("p", { class: "lightquant-said", role: "status" })

/** A text of the server's as it would print it; it can be scrolled from the keyboard. */
export const printed = (text, label) => element("pre", { tabindex: 0, role: "region", "aria-label": label }, text)

/** A command to copy. */
export function copyable(command) {
  const copy = button(t("panel.copy"), async () => {
    await navigator.clipboard.writeText(command)
    copy.textContent = t("panel.copied")
  })
  return element("div", { class: "lightquant-command" }, element("code", {}, command), copy)
}
