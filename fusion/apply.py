"""Having a clone compute its blocks in another way than ComfyUI's."""

import logging
from collections import Counter
from collections.abc import Mapping

import torch

from ..bridge import wan_block
from ..bridge.block_patches import blocks_of, put_back, replace, replaced, running
from ..errors import FusionError
from .block import Inputs, output_of
from .modes import FUSE, PLAIN, SHARE, chosen
from .steps import Fused, Separate

KEY = "lightquant_blocks"
"""Of what is registered with a clone, so that a second node replaces the first."""

_STEPS = {SHARE: Separate(), FUSE: Fused()}

MOST_DIFFERENT = {SHARE: 0.0, FUSE: 0.05}
"""What the first block may differ by, relatively, from ComfyUI's own: sharing changes nothing, and fusing what is between codes."""

_COMPARED_ROWS = 256

_DESCRIPTIONS = {
    SHARE: "each activation is quantized once for all layers that multiply it",
    FUSE: "norms, modulation, residuals, GELU and rotary embedding are computed in one pass each with the quantization that follows",
}

log = logging.getLogger(__name__)


class Blocks:
    """What stands in for every block of a clone. The clones made from the one that it was set up for share it."""

    def __init__(self, mode: str):
        self.mode = mode
        self.refused: dict[torch.device, str] = {}
        """Device -> why the blocks there are ComfyUI's own, where the first one was not as it should be."""
        self._seen: set[torch.device] = set()

    def __call__(self, number: int, arguments: Mapping, extra: Mapping) -> dict:
        own, given = extra["original_block"], self._given(number, arguments)
        if given is None:
            return own(arguments)
        block, inputs = given
        device = inputs.x.device
        is_first = device not in self._seen and not torch.compiler.is_compiling()
        sample = _sample(own(arguments)["img"]) if is_first else None
        output = None if device in self.refused else output_of(block, inputs, _STEPS[self.mode])
        if is_first:
            self._compare(inputs.x, _sample(output), sample)
        return own(arguments) if device in self.refused else {"img": output}

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

    def _compare(self, x: torch.Tensor, found: torch.Tensor, expected: torch.Tensor) -> None:
        """Once on each device, a block computed both ways from x: a ComfyUI whose blocks compute something else must not get these."""
        device = x.device
        change = float((expected.float() - _sample(x).float()).norm()) or 1.0
        error = 0.0 if torch.equal(found, expected) else float((found.float() - expected.float()).norm()) / change
        self._seen.add(device)
        if not error <= MOST_DIFFERENT[self.mode]:
            most = MOST_DIFFERENT[self.mode]
            self.refused[device] = f"blocks are computed by ComfyUI, as the first block differs from ComfyUI's own by {error:.2g}, and {most} at most"
            log.warning("LightQuant: %s was expected. Update LightQuant.", self.refused[device])


def _sample(x: torch.Tensor) -> torch.Tensor:
    """Some of the rows of [B, L, C], in memory of their own."""
    return x[:, :: max(1, x.shape[1] // _COMPARED_ROWS)].clone()


class _Numbered:
    """Blocks for one of the blocks."""

    def __init__(self, blocks: Blocks, number: int):
        self._blocks, self._number = blocks, number

    def __call__(self, arguments: Mapping, extra: Mapping) -> dict:
        return self._blocks(self._number, arguments, extra)


def compute_blocks(patcher, mode: str) -> str:
    """Have a clone compute its blocks in a mode of MODES, in place of an earlier one. Returns what it will do, in words.

    Raises FusionError where the model has no blocks that are known here.
    """
    blocks = blocks_of(patcher)
    if not blocks:
        raise FusionError("This model has no blocks of Wan's, so there is nothing to fuse. Connect a MODEL of Load Quantized DiT.")
    put_back(patcher, [number for number, each in replaced(patcher).items() if isinstance(each, _Numbered)], KEY)
    mode, why = chosen(mode, patcher.load_device)
    if mode == PLAIN:
        return "plain: ComfyUI's own blocks"
    others = replaced(patcher)
    ours, taken = Blocks(mode), Counter(number in others for number in range(len(blocks)))
    replace(patcher, {number: _Numbered(ours, number) for number in range(len(blocks)) if number not in others}, KEY)
    lines = [f"{mode}: {_DESCRIPTIONS[mode]}" + (f" ({why})" if why else "")]
    if taken[True]:
        lines.append(f"{taken[True]} of {len(blocks)} blocks are another node's already and stay so")
    return "\n".join(lines)
