"""Which kernel computes a loaded model's attention: through ComfyUI's own hook, for a clone, and with a count of what took which call."""
