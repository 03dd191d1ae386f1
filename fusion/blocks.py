"""What stands in for a model's blocks while it runs: ours where they are right and nobody else has a say, else ComfyUI's own."""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping

import torch

from ..bridge import wan_block
from ..bridge.attention_hook import override_in
from ..bridge.block_patches import running
from .block import Inputs, output_of
from .modes import FUSE, SHARE
from .steps import Fused, Separate

_STEPS = {SHARE: Separate(), FUSE: Fused()}

MOST_DIFFERENT = {SHARE: 0.0, FUSE: 0.05}
"""What the first block may differ by, relatively, from ComfyUI's own: sharing changes nothing, and fusing what is between codes."""

_COMPARED_ROWS = 1024
_CHANGED = "another node changes them"

log = logging.getLogger(__name__)


class Blocks:
    """What stands in for every block of a clone. The clones made from the one that it was set up for share it."""

    def __init__(self, mode: str):
        self.mode = mode
        self.refused: dict[torch.device, str] = {}
        """Device -> why the blocks there are ComfyUI's own, where the first one was not as it should be."""
        self._seen: set[torch.device] = set()
        self._computed: set[int] = set()
        self._left: dict[str, set[int]] = defaultdict(set)

    def begin(self) -> None:
        """A run begins."""
        self._computed.clear()
        self._left.clear()

    def describe(self) -> str:
        """The last run in a line; what torch.compile has compiled runs without being counted."""
        parts = [f"{len(self._computed)} computed so"] if self._computed else []
        parts += [f"{len(numbers)} by ComfyUI's own code, as {why}" for why, numbers in self._left.items()]
        return f"blocks of the last run: {'; '.join(parts) or 'all were compiled'}"

    def __call__(self, number: int, arguments: Mapping, extra: Mapping) -> dict:
        own, given = extra["original_block"], self._given(number, arguments)
        device = arguments["img"].device
        if torch.compiler.is_compiling():
            # One that was never compared is not to be trusted; a run's first prediction is not compiled where torch can be told so.
            ours = given is not None and device in self._seen and device not in self.refused
            return {"img": output_of(*given, _STEPS[self.mode])} if ours else own(arguments)
        if given is None:
            self._left[_CHANGED].add(number)
            return own(arguments)
        if device not in self._seen:
            self._compare(number, _beginning(arguments), own)
        if device in self.refused:
            self._left[self.refused[device]].add(number)
            return own(arguments)
        self._computed.add(number)
        return {"img": output_of(*given, _STEPS[self.mode])}

    def _given(self, number: int, arguments: Mapping) -> tuple[torch.nn.Module, Inputs] | None:
        """The block and what it is called with; None where only its own forward does what others ask for."""
        options = arguments["transformer_options"]
        run, e = running(options), arguments["vec"]
        if run is None or e.ndim not in (3, 4) or any(options.get("patches", {}).get(name) for name in wan_block.PATCHES):
            return None
        block = run.blocks[number]
        if not wan_block.is_own(block):
            return None
        return block, Inputs(arguments["img"], e, arguments["pe"], arguments["txt"], run.image_tokens, options)

    def _compare(self, number: int, arguments: Mapping, own: Callable[[Mapping], dict]) -> None:
        """Once on each device, a block computed both ways: a ComfyUI whose blocks compute something else must not get these."""
        x, expected = (each.float() for each in (arguments["img"], own(arguments)["img"]))
        found = output_of(*self._given(number, arguments), _STEPS[self.mode]).float()
        change = float((expected - x).norm()) or 1.0
        error = 0.0 if torch.equal(found, expected) else float((found - expected).norm()) / change
        device, most = x.device, MOST_DIFFERENT[self.mode]
        self._seen.add(device)
        if not error <= most:
            self.refused[device] = f"the first block differs from ComfyUI's own by {error:.2g}, and {most} at most was expected"
            log.warning("LightQuant: the blocks are computed by ComfyUI, as %s. Update LightQuant.", self.refused[device])


def _beginning(arguments: Mapping) -> Mapping:
    """What a block is called with, of its first rows alone: ComfyUI's block needs more memory for all of them than ours.

    Somebody else's attention may count on a whole video, and gets one.
    """
    override = override_in(arguments["transformer_options"])
    if override is not None and not getattr(override, "takes_any_rows", False):
        return arguments
    e = arguments["vec"]
    count = max(_COMPARED_ROWS, 2 * e.shape[1] if e.ndim == 4 else 0)  # of sets for some rows each, ComfyUI's block takes no fewer
    return {**arguments, "img": arguments["img"][:, :count], "pe": arguments["pe"][:, :count]}
