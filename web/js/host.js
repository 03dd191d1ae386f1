// What ComfyUI's page gives an extension, by one path. The files are served as /extensions/<the pack's folder>/js/*.

export { app } from "../../../scripts/app.js"
export { api } from "../../../scripts/api.js"

import { app } from "../../../scripts/app.js"

/** Calls `then` after what the object has under that name already, as every extension must that wants to hear of a node's life. */
export function chain(object, name, then) {
  const before = object[name]
  object[name] = function (...values) {
    const result = before?.apply(this, values)
    then.apply(this, values)
    return result
  }
}

/** The value of one of ComfyUI's settings or of ours. */
export const setting = (id) => app.extensionManager.setting.get(id)

/** Calls `then` with a setting's new value whenever it changes. */
export function onSetting(id, then) {
  app.ui.settings.addEventListener(`${id}.change`, (event) => then(event.detail.value))
}

/** Runs `what` once, `wait` milliseconds after the last of the calls that asked for it. */
export function debounced(what, wait) {
  let timer
  return () => {
    clearTimeout(timer)
    timer = setTimeout(what, wait)
  }
}
