import { app } from "../../../scripts/app.js"

const LOCALE = "LightQuant.Locale"

// ComfyUI keeps its language only once the user has picked one; until then the page follows the browser, which its server is not told.
app.registerExtension({
  name: "LightQuant.Language",
  settings: [{ id: LOCALE, name: "Language of LightQuant's messages", type: "hidden", defaultValue: "" }],
  async setup() {
    const settings = app.extensionManager.setting
    const shown = settings.get("Comfy.Locale")
    if (shown && settings.get(LOCALE) !== shown) await settings.set(LOCALE, shown)
  },
})
