// The pack's settings, in ComfyUI's dialog. Their texts in other languages are in locales/<language>/settings.json.

export const MISSING_KERNEL = "LightQuant.MissingKernel"
export const PREFERRED_KERNELS = "LightQuant.PreferredKernels"

export const settings = [
  {
    id: "LightQuant.AllowDownload",
    category: ["LightQuant", "Download", "Allow the download node"],
    name: "Allow the download node",
    tooltip: "The node Download Published Model may fetch files from the Hugging Face hub when it runs.",
    type: "boolean",
    defaultValue: false,
  },
  {
    id: PREFERRED_KERNELS,
    category: ["LightQuant", "Kernels", "Preferred kernels"],
    name: "Preferred kernels",
    tooltip: "What auto tries first: names of schemes or kernel packages in their order, with commas between them, such as fp8-triton, vllm. Empty: the fastest.",
    type: "text",
    defaultValue: "",
  },
  {
    id: MISSING_KERNEL,
    category: ["LightQuant", "Kernels", "When a kernel is missing"],
    name: "When a kernel is missing",
    tooltip: "What missing_kernel is set to on loaders that you add. Loaders of opened workflows keep their own.",
    type: "combo",
    options: ["substitute", "stop"],
    defaultValue: "substitute",
  },
]
