// The pack's part of ComfyUI's page. Where the server has no routes for it, the page is as it would be without.

import { app, onSetting } from "./host.js"
import { choose } from "./chooser.js"
import { setDefaults } from "./defaults.js"
import { learn } from "./definitions.js"
import { offer, ownList } from "./dropdown.js"
import { loaderOf } from "./loaders.js"
import { onJob, startJobs } from "./jobs.js"
import { registerPanel } from "./panel/panel.js"
import { rememberPress, startMarking } from "./popup.js"
import { isServed, lookForRoutes } from "./server.js"
import { PREFERRED_KERNELS, settings } from "./settings.js"
import { followTheme } from "./status/drawn.js"
import { addStatus, followRendering, showStatus } from "./status/status.js"
import { onLanguage, startTexts, t } from "./text.js"
import { askAgain, choices, look, onChoice, startWatching, watch } from "./watch.js"

app.registerExtension({
  name: "LightQuant",
  settings,
  commands: [{ id: "LightQuant.ChooseScheme", label: "Choose a scheme for the selected loader", icon: "pi pi-list", function: chooseForSelected }],

  beforeRegisterNodeDef(nodeType, definition) {
    if (definition.name.startsWith("LightQuant")) learn(definition)
    lookForRoutes(definition)
  },

  async setup() {
    if (!isServed()) return
    document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: new URL("../css/lightquant.css", import.meta.url) }))
    await startTexts()
    registerPanel()
    startMarking()
    startWatching()
    followTheme()
    followRendering(choose)
    onChoice(showStatus)
    onChoice(offer)
    onLanguage(() => choices().forEach((known) => showStatus(...known)))
    onLanguage(askAgain)
    onSetting(PREFERRED_KERNELS, askAgain)
    startJobs()
    onJob((job, isNews) => isNews && job.state === "done" && askAgain())
  },

  nodeCreated(node) {
    if (!isServed() || !loaderOf(node)) return
    setDefaults(node)
    ownList(node)
    rememberPress(node)
    addStatus(node, choose)
    watch(node)
  },

  afterConfigureGraph() {
    if (isServed()) look()
  },

  refreshComboInNodes(definitions) {
    if (!isServed()) return
    Object.values(definitions).forEach((definition) => definition.name?.startsWith("LightQuant") && learn(definition))
    choices().forEach(([node]) => ownList(node))
    askAgain()
  },

  getNodeMenuItems(node) {
    return isServed() && loaderOf(node) ? [{ content: t("scheme.menu"), callback: () => choose(node) }] : []
  },
})

function chooseForSelected() {
  const selected = [...(app.canvas.selectedItems ?? [])].find((item) => loaderOf(item))
  if (selected) choose(selected)
}
