// The fit calculator: which schemes and offload settings fit a card.

import { dropdown, element, labelled, offer } from "../dom.js"
import { ask } from "../server.js"
import { t } from "../text.js"
import { report, saying, tell, working } from "./parts.js"

/** The numbers of the form: the text, and with what it begins. Those of the machine are the server's where it knows them. */
const NUMBERS = {
  vram: { text: "fit.vram", value: 24, step: "any" },
  ram: { text: "fit.ram", value: 64, step: "any" },
  frames: { text: "fit.frames", value: 81, step: 4 },
  width: { text: "fit.width", value: 832, step: 16 },
  height: { text: "fit.height", value: 480, step: 16 },
}

/** The part of the panel. */
export function fitPart() {
  const model = dropdown([])
  const numbers = Object.entries(NUMBERS).map(([name, { value, step }]) => [name, element("input", { type: "number", min: 1, value, step })])
  const said = saying()
  const answer = element("div")
  fill(model, Object.fromEntries(numbers)).catch(tell(said))
  const start = working(t("fit.start"), said, async () => {
    const values = numbers.map(([name, input]) => [name, input.value])
    const { text } = await ask("fit", { ...Object.fromEntries(values), model: model.value })
    answer.replaceChildren(...report(text, t("fit.answer")))
  })
  const fields = numbers.map(([name, input]) => labelled(t(NUMBERS[name].text), input))
  return [element("p", {}, t("fit.about")), labelled(t("fit.model"), model), element("div", { class: "lightquant-numbers" }, ...fields), element("div", { class: "lightquant-buttons" }, start), said, answer]
}

async function fill(model, numbers) {
  const { models, vram, ram } = await ask("fit/models")
  offer(model, models.map(({ name, title }) => [name, title]))
  if (vram) numbers.vram.value = Math.round(vram)
  if (ram) numbers.ram.value = Math.round(ram)
}
