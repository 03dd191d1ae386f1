// The fit calculator: which schemes and offload settings fit a card.

import { dropdown, element, labelled, offer } from "../dom.js"
import { ask } from "../server.js"
import { t } from "../text.js"
import { once, report, saying, tell, working } from "./parts.js"

/** The numbers of the form: the text, with what it begins, and the least, from which a browser counts steps. Those of the machine are the server's. */
const NUMBERS = {
  vram: { text: "fit.vram", value: 24, min: 1, step: "any" },
  ram: { text: "fit.ram", value: 64, min: 1, step: "any" },
  frames: { text: "fit.frames", value: 81, min: 1, step: 4 },
  width: { text: "fit.width", value: 832, min: 16, step: 16 },
  height: { text: "fit.height", value: 480, min: 16, step: 16 },
}

/** The controls by the route's names, of what it tells of them, and where the answer is shown. */
const controls = once(() => {
  const numbers = Object.entries(NUMBERS).map(([name, { value, min, step }]) => [name, element("input", { type: "number", value, min, step })])
  const made = { model: dropdown([]), gpu: dropdown([]), scheme: dropdown([]), ...Object.fromEntries(numbers) }
  const said = saying()
  const known = ask("fit/models")
  known.then((form) => begin(made, form), tell(said))
  return { made, known, said, answer: element("div") }
})

/** The part of the panel. */
export function fitPart() {
  const { made, known, said, answer } = controls()
  known.then(({ measured, cards, schemes }) => {
    offer(made.gpu, [["", t("fit.otherCard", { card: measured })], ...cards.map(({ name }) => name)])
    offer(made.scheme, [["", t("fit.allSchemes")], ...schemes])
  }, () => {})
  const start = working(t("fit.start"), said, async () => {
    const { text } = await ask("fit", Object.fromEntries(Object.entries(made).map(([name, control]) => [name, control.value])))
    answer.replaceChildren(...report(text, t("fit.answer")))
  })
  const numbers = Object.entries(NUMBERS).map(([name, { text }]) => labelled(t(text), made[name]))
  return [
    element("p", {}, t("fit.about")),
    labelled(t("fit.model"), made.model),
    labelled(t("fit.card"), made.gpu),
    labelled(t("fit.scheme"), made.scheme),
    element("div", { class: "lightquant-numbers" }, ...numbers),
    element("div", { class: "lightquant-buttons" }, start),
    said,
    answer,
  ]
}

/** Fills the form with what the server tells of its machine, and has one field follow another. */
function begin({ model, gpu, vram, ram, width, height }, form) {
  offer(model, form.models.map(({ name, title }) => [name, title]))
  model.addEventListener("change", () => {
    const { multiple } = form.models.find(({ name }) => name === model.value)
    for (const size of [width, height]) size.min = size.step = multiple
  })
  offer(gpu, ["", ...form.cards.map(({ name }) => name)])
  gpu.value = form.card ?? ""
  gpu.addEventListener("change", () => {
    const card = form.cards.find(({ name }) => name === gpu.value)
    if (card) vram.value = card.vram
  })
  if (form.vram) vram.value = Math.round(form.vram)
  if (form.ram) ram.value = Math.round(form.ram)
}
