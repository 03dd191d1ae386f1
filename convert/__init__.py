"""A float checkpoint into a quantized one: renamed, merged with LoRAs and quantized in one pass, a tensor at a time."""
