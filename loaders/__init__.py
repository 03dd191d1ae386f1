"""Files -> a described state dict: recognising, discovering, renaming keys. It knows no ComfyUI: folders and the opener are arguments."""

from .checkpoint import Checkpoint, read
from .components import COMPONENTS, Component

__all__ = ["COMPONENTS", "Checkpoint", "Component", "read"]
