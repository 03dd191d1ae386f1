// LoRAs that are merged into a model before it is quantized: a row for each, of its file and its strength.

import { button, dropdown, element, labelled, offer } from "../dom.js"
import { optionsOf } from "../definitions.js"
import { t } from "../text.js"

/** The rows. draw: shows them, in the page's language; wanted: gives what the route takes. */
export function loraList() {
  const rows = []
  const root = element("fieldset")
  const draw = () => {
    const add = button(t("convert.addLora"), () => {
      rows.push(newRow())
      draw()
      rows.at(-1).file.focus()
    })
    const remove = (row) => {
      rows.splice(rows.indexOf(row), 1)
      draw()
      root.lastChild.focus()
    }
    root.replaceChildren(element("legend", {}, t("convert.loras")), ...rows.map((row) => shown(row, remove)), add)
  }
  return { root, draw, wanted: () => rows.map(({ file, strength }) => ({ name: file.value, strength: strength.valueAsNumber })) }
}

function newRow() {
  const file = dropdown([])
  const fill = () => offer(file, optionsOf("LightQuantLoRA", "lora"))
  file.addEventListener("focus", fill) // there may be new files
  fill()
  return { file, strength: element("input", { type: "number", value: 1, step: 0.05 }) }
}

const shown = (row, remove) =>
  element(
    "div",
    { class: "lightquant-lora" },
    labelled(t("convert.lora"), row.file),
    labelled(t("convert.strength"), row.strength),
    button("✕", () => remove(row), { "aria-label": t("convert.removeLora"), title: t("convert.removeLora") }),
  )
