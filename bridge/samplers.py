"""ComfyUI's samplers and schedulers, for nodes that sample."""

import comfy.samplers

SAMPLERS, SCHEDULERS = list(comfy.samplers.KSampler.SAMPLERS), list(comfy.samplers.KSampler.SCHEDULERS)
