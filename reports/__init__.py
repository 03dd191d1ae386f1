"""What can be said about a checkpoint without loading it. Reports know no ComfyUI: a path and a device are their arguments."""
