// Every text that the page shows, in the language of ComfyUI's page: web/texts/<language>.json.

import { onSetting, setting } from "./host.js"

const LOCALE = "Comfy.Locale"

const listeners = new Set()

let texts = {}
let known = "en"
let wanted = known

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

/** Reads the texts of the page's language, now and whenever that changes. Where the server gives none they stay what they are, at first their keys. */
export async function startTexts() {
  onSetting(LOCALE, async (locale) => {
    if (await take(locale)) listeners.forEach((then) => then())
  })
  await take(setting(LOCALE))
}

/** Takes the texts of a language, unless meanwhile another one is wanted; whether it has. */
async function take(locale) {
  const asked = String(locale).startsWith("zh") ? "zh" : "en"
  wanted = asked
  const found = (await read(asked)) ?? (await read("en"))
  if (!found || asked !== wanted) return false
  ;[texts, known] = [found, asked]
  return true
}

/** The texts of a language, or null where the server does not give them. */
const read = (language) =>
  fetch(new URL(`../texts/${language}.json`, import.meta.url))
    .then((answer) => (answer.ok ? answer.json() : null))
    .catch(() => null)
