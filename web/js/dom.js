// Elements of a page, made in one call.

/**
 * An element. properties: attributes, and `on` with a function for each event; one that is null, undefined or false is left out.
 * children: elements and texts; empty ones are left out.
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag)
  const { on = {}, ...attributes } = properties
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value)
  }
  for (const [event, then] of Object.entries(on)) made.addEventListener(event, then)
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""))
  return made
}

let last = 0

/** An id that no other element has. */
export const newId = () => `lightquant-${++last}`

/** A form control with its label before it, and a hint where there is one. */
export function labelled(text, control, hint) {
  control.id ||= newId()
  const note = hint && element("small", { id: newId() }, hint)
  if (note) control.setAttribute("aria-describedby", note.id)
  return element("div", { class: "lightquant-field" }, element("label", { for: control.id }, text), control, note)
}

/** A dropdown. options: values, or [value, text]. */
export function dropdown(options) {
  const made = element("select")
  offer(made, options)
  return made
}

/** Gives a dropdown other options, each once; what is picked stays picked if it is among them. */
export function offer(select, options) {
  const { value: picked } = select
  const pairs = new Map(options.map((option) => (Array.isArray(option) ? option : [option, option])))
  select.replaceChildren(...[...pairs].map(([value, text]) => element("option", { value }, text)))
  if (pairs.has(picked)) select.value = picked
}

/** A button. */
export const button = (text, click, properties = {}) => element("button", { type: "button", ...properties, on: { click } }, text)
