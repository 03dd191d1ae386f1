// Every text that the page shows, in the language of ComfyUI's page: web/texts/<language>.json.

import { onSetting, setting } from "./host.js"

const LOCALE = "Comfy.Locale"

const listeners = new Set()

let texts = {}
let known = "en"

/** The language that texts are in: "zh" for Chinese of any kind, else "en". */
export const language = () => known

/** The text of a key, such as "status.asking", with its {fields} filled in. */
export function t(key, fields = {}) {
  const [area, name] = key.split(".")
  const text = texts[area]?.[name] ?? key
  return text.replace(/\{(\w+)\}/g, (whole, field) => fields[field] ?? whole)
}

/** Calls `then` each time that the language has changed and its texts are there. */
export function onLanguage(then) {
  listeners.add(then)
}

/** Reads the texts of the page's language, now and whenever that changes. */
export async function startTexts() {
  onSetting(LOCALE, async (locale) => {
    await read(locale)
    listeners.forEach((then) => then())
  })
  await read(setting(LOCALE))
}

async function read(locale) {
  const wanted = String(locale).startsWith("zh") ? "zh" : "en"
  const answer = await fetch(new URL(`../texts/${wanted}.json`, import.meta.url))
  if (answer.ok) [texts, known] = [await answer.json(), wanted]
}
