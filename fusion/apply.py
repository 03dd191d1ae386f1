"""Having a clone compute its blocks in another way than ComfyUI's."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping

from ..bridge import runs, wan_block
from ..bridge.block_patches import blocks_of, put_back, replace, replaced
from ..errors import FusionError
from .blocks import Blocks
from .modes import AUTO, FUSE, PLAIN, SHARE, chosen

KEY = "lightquant_blocks"
"""Of what is registered with a clone, so that a second node replaces the first."""

_DESCRIPTIONS = {
    SHARE: "each activation is quantized once for all layers that multiply it",
    FUSE: "norms, modulation, residuals, GELU and rotary embedding are computed in one pass each with the quantization that follows",
}


class _Numbered:
    """Blocks for one of the blocks."""

    def __init__(self, blocks: Blocks, number: int):
        self._blocks, self._number = blocks, number

    def __call__(self, arguments: Mapping, extra: Mapping) -> dict:
        return self._blocks(self._number, arguments, extra)


log = logging.getLogger(__name__)


def compute_blocks(patcher, mode: str, tell: Callable[[str], None] | None = None, is_wanted: bool = True) -> str:
    """Have a clone compute its blocks in a mode of MODES, in place of an earlier one. Returns what it will do, in words.

    tell: is given each run's account. Raises FusionError where the model has no blocks that are known here, unless by `auto` and nobody wanted it.
    """
    said = _compute_blocks(patcher, mode, tell, is_wanted)
    log.info("LightQuant: %s", said)
    return said


def _compute_blocks(patcher, mode: str, tell: Callable[[str], None] | None, is_wanted: bool) -> str:
    blocks = blocks_of(patcher) or ()
    known = [number for number, block in enumerate(blocks) if wan_block.is_known(block)]
    if not known and mode == AUTO and not is_wanted:
        return _plain("auto: they are of a kind that is not known here")
    if not blocks:
        raise FusionError("This model has no blocks of Wan's, so there is nothing to fuse. Connect a MODEL of Load Quantized DiT.")
    if not known:
        raise FusionError(
            f"None of this model's {len(blocks)} blocks is a quantized one of plain Wan's, so there is nothing to fuse. "
            "Connect a MODEL of Load Quantized DiT; HuMo's blocks stay ComfyUI's."
        )
    put_back(patcher, [number for number, each in replaced(patcher).items() if isinstance(each, _Numbered)], KEY)
    mode, why = chosen(mode, patcher.load_device)
    if mode == PLAIN:
        runs.set_callbacks(patcher, KEY, {})
        return _plain(why or "as asked for")
    others = replaced(patcher)
    ours, taken = Blocks(mode), Counter(number in others for number in known)
    replace(patcher, {number: _Numbered(ours, number) for number in known if number not in others}, KEY)
    runs.set_callbacks(patcher, KEY, {runs.BEGIN: lambda *_: ours.begin(), runs.END: lambda *_: tell and tell(ours.describe())})
    text = f"blocks, {mode}: {_DESCRIPTIONS[mode]}"
    lines = [f"{text} ({why})" if why else text]
    if taken[True]:
        lines.append(f"{taken[True]} of {len(blocks)} blocks are another node's already and stay so")
    if len(known) < len(blocks):
        lines.append(f"{len(blocks) - len(known)} of {len(blocks)} blocks are of a kind that is not known here and stay ComfyUI's")
    return "\n".join(lines)


def _plain(why: str) -> str:
    return f"blocks, plain: ComfyUI's own ({why})"
