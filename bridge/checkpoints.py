"""Every component's checkpoints by one name each, for nodes that take any of them."""

from ..errors import CheckpointError
from ..loaders.components import COMPONENTS
from ..loaders.storage import paths_of
from . import folders


def checkpoint_names() -> list[str]:
    """Every component's checkpoints, each behind the name of its folder: diffusion_models/NAME."""
    return [f"{component.folder}/{name}" for component in COMPONENTS.values() for name in folders.checkpoint_names(component.name)]


def files_of(name: str) -> tuple[str, ...]:
    """The files behind a name from checkpoint_names."""
    return paths_of(path_of(name))


def path_of(name: str) -> str:
    """The path behind a name from checkpoint_names; any other name is refused."""
    folder, _, rest = name.partition("/")
    component = next((component.name for component in COMPONENTS.values() if component.folder == folder), None)
    if component is None:
        raise CheckpointError(f"LightQuant inspects no {name}: its checkpoints lie in {', '.join(each.folder for each in COMPONENTS.values())}.")
    return folders.full_path(component, rest)
