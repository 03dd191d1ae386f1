// The inspector: what a checkpoint is, without loading it.

import { element, labelled } from "../dom.js"
import { send } from "../server.js"
import { t } from "../text.js"
import { checkpointControls, checkpointFields, once, report, saying, working } from "./parts.js"

const controls = once(() => ({ ...checkpointControls(), data: element("input", { type: "checkbox" }), said: saying(), answer: element("div") }))

/** The part of the panel. */
export function inspectPart() {
  const { component, checkpoint, data, said, answer } = controls()
  const start = working(t("inspect.start"), said, async () => {
    const { text, picture } = await send("inspect", { component: component.value, checkpoint: checkpoint.value, data: data.checked })
    answer.replaceChildren(...report(text, t("inspect.report"), { src: picture, alt: t("inspect.picture") }))
  })
  const fields = [...checkpointFields({ component, checkpoint }), labelled(t("inspect.data"), data, t("inspect.dataHint"))]
  return [element("p", {}, t("inspect.about")), ...fields, element("div", { class: "lightquant-buttons" }, start), said, answer]
}
