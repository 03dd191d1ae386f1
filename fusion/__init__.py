"""A transformer block in fewer steps: one quantized activation for several layers, and passes over memory put together."""
