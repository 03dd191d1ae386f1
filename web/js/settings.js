import { app } from "../../../scripts/app.js"

app.registerExtension({
  name: "LightQuant.Settings",
  settings: [
    {
      id: "LightQuant.AllowDownload",
      category: ["LightQuant", "Download", "Allow the download node"],
      name: "Allow the download node",
      tooltip: "The node Download Published Model may fetch files from the Hugging Face hub when it runs.",
      type: "boolean",
      defaultValue: false,
    },
  ],
})
