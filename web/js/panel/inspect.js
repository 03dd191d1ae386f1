// The inspector: what a checkpoint is, without loading it.

import { element, labelled } from "../dom.js"
import { send } from "../server.js"
import { t } from "../text.js"
import { checkpointFields, report, saying, working } from "./parts.js"

/** The part of the panel. */
export function inspectPart() {
  const { component, checkpoint } = checkpointFields()
  const data = element("input", { type: "checkbox" })
  const said = saying()
  const answer = element("div")
  const start = working(t("inspect.start"), said, async () => {
    const { text, picture } = await send("inspect", { component: component.value, checkpoint: checkpoint.value, data: data.checked })
    answer.replaceChildren(...report(text, t("inspect.report"), { src: picture, alt: t("inspect.picture") }))
  })
  const fields = [labelled(t("panel.component"), component), labelled(t("panel.checkpoint"), checkpoint), labelled(t("inspect.data"), data, t("inspect.dataHint"))]
  return [element("p", {}, t("inspect.about")), ...fields, element("div", { class: "lightquant-buttons" }, start), said, answer]
}
