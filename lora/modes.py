"""The two ways in which a LoRA is added."""

BESIDE, BAKE = "beside", "bake"
MODES = (BESIDE, BAKE)
"""Computed beside the quantized layers while the model runs, exact; or rounded into their weights."""
