"""Which two files a pair of experts is loaded from: those that were picked, and for what was not, one beside the other or among ComfyUI's folders."""

from ..loaders.identity import identify_path
from ..loaders.pair import check_pair, counterpart
from ..loaders.wan_folder import HIGH, LOW
from ..schemes import formats_of
from . import folders
from .request import SUBSTITUTE, Request, chosen


def requested_pair(scheme: str, high_noise: str, low_noise: str, dtype: str, missing_kernel: str) -> list[Request]:
    """The requests of the pair's loader with these values, the high-noise one first. Raises CheckpointError or DiscoveryError."""
    paths = _paths(chosen(high_noise), chosen(low_noise), formats_of(scheme))
    return [Request("dit", path, scheme, dtype, may_substitute=missing_kernel == SUBSTITUTE) for path in paths]


def _paths(high: str | None, low: str | None, formats: list[str]) -> tuple[str, str]:
    picked = {expert: folders.full_path("dit", name) for expert, name in ((HIGH, high), (LOW, low)) if name}
    found = dict(picked)
    for expert, other in ((HIGH, LOW), (LOW, HIGH)):
        if expert not in found:
            beside = counterpart(picked[other]) if other in picked else None
            identity = identify_path(beside) if beside else None
            # Two float experts are quantized while they load, as the picked one is.
            fits = identity and identity.component == "dit" and (identity.is_read_as(formats) or identity == identify_path(picked[other]))
            found[expert] = beside if fits else folders.checkpoint_path("dit", None, formats, expert)
    check_pair(found[HIGH], found[LOW])
    return found[HIGH], found[LOW]
