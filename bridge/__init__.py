"""The one place that knows ComfyUI: layouts, the Linear of our operations, building MODEL, CLIP and CLIP_VISION, folders and files."""
