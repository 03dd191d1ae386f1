"""The names of a Wan DiT's tensors: Wan's own, which LightX2V and ComfyUI keep, and diffusers' (WanTransformer3DModel, WanVACETransformer3DModel)."""

import re
from collections.abc import Callable, Iterable, Mapping

from ..errors import ConvertError

ORIGINAL, DIFFUSERS, AS_THEY_ARE = "original", "diffusers", "as-they-are"

_OUTSIDE = (
    ("patch_embedding", "patch_embedding"),
    ("vace_patch_embedding", "vace_patch_embedding"),
    ("text_embedding.0", "condition_embedder.text_embedder.linear_1"),
    ("text_embedding.2", "condition_embedder.text_embedder.linear_2"),
    ("time_embedding.0", "condition_embedder.time_embedder.linear_1"),
    ("time_embedding.2", "condition_embedder.time_embedder.linear_2"),
    ("time_projection.1", "condition_embedder.time_proj"),
    ("img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed"),
    ("img_emb.proj.0", "condition_embedder.image_embedder.norm1"),
    ("img_emb.proj.1", "condition_embedder.image_embedder.ff.net.0.proj"),
    ("img_emb.proj.3", "condition_embedder.image_embedder.ff.net.2"),
    ("img_emb.proj.4", "condition_embedder.image_embedder.norm2"),
    ("head.modulation", "scale_shift_table"),
    ("head.head", "proj_out"),
)

_ATTENTIONS = (
    *(
        (f"{original}.{old}", f"{diffusers}.{new}")
        for original, diffusers in (("self_attn", "attn1"), ("cross_attn", "attn2"))
        for old, new in (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("o", "to_out.0"), ("norm_q", "norm_q"), ("norm_k", "norm_k"))
    ),
    ("cross_attn.k_img", "attn2.add_k_proj"),
    ("cross_attn.v_img", "attn2.add_v_proj"),
    ("cross_attn.norm_k_img", "attn2.norm_added_k"),
)

_IN_A_BLOCK = (
    *_ATTENTIONS,
    ("modulation", "scale_shift_table"),
    # Wan runs norm1, norm3, norm2, and diffusers counts in that order; the two others have no parameters.
    ("norm3", "norm2"),
    ("ffn.0", "ffn.net.0.proj"),
    ("ffn.2", "ffn.net.2"),
)

_IN_A_VACE_BLOCK = (*_IN_A_BLOCK, ("before_proj", "proj_in"), ("after_proj", "proj_out"))


def _numbered(blocks: str, pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((f"{blocks}.#.{original}", f"{blocks}.#.{diffusers}") for original, diffusers in pairs)


PAIRS = (*_OUTSIDE, *_numbered("blocks", _IN_A_BLOCK), *_numbered("vace_blocks", _IN_A_VACE_BLOCK))
"""(original, diffusers') name of every module, and of every parameter that is in none; # is a block's number."""

_TELLING = {naming: {pair[side] for pair in _numbered("blocks", _ATTENTIONS)} for side, naming in enumerate((ORIGINAL, DIFFUSERS))}
"""What tells a naming: umt5 in Wan's names has blocks.#.norm2 too, but no such attention."""

_NUMBER = re.compile(r"(?<=blocks\.)\d+")


def _matcher(names: Iterable[str]) -> re.Pattern[str]:
    """Matches a name at a key's beginning; behind it come a parameter, a scale or a LoRA's suffix, or nothing."""
    alternatives = "|".join(re.escape(name).replace(re.escape("#"), r"\d+") for name in names)
    return re.compile(rf"(?:{alternatives})(?=\.|_lora\.|$)")


def _renamer(table: Mapping[str, str]) -> Callable[[str], str]:
    matcher = _matcher(table)

    def rename(key: str) -> str:
        found = matcher.match(key)
        if found is None:
            return key
        number = _NUMBER.search(found[0])
        new = table[_NUMBER.sub("#", found[0])]
        return (new.replace("#", number[0]) if number else new) + key[found.end() :]

    return rename


_to_diffusers, _to_original = _renamer(dict(PAIRS)), _renamer({diffusers: original for original, diffusers in PAIRS})
_known = _matcher({name for pair in PAIRS for name in pair})
_telling = {naming: _matcher(names) for naming, names in _TELLING.items()}


def to_diffusers(key: str) -> str:
    """A DiT's key, without a prefix, in diffusers' names. One that has them already, or that no table knows, comes back as it is."""
    return _to_diffusers(key)


def to_original(key: str) -> str:
    """A DiT's key, without a prefix, in Wan's own names. One that has them already, or that no table knows, comes back as it is.

    Only for a DiT's keys (see naming_of): umt5's blocks.#.norm2, in Wan's names, looks like one of diffusers'.
    """
    return _to_original(key)


def naming_of(keys: Iterable[str]) -> str | None:
    """ORIGINAL or DIFFUSERS, as the attention layers in a DiT's keys are named; None where there are none, or some of each."""
    keys = list(keys)
    found = [naming for naming, matcher in _telling.items() if any(matcher.match(key) for key in keys)]
    return found[0] if len(found) == 1 else None


def into_original(keys: Iterable[str]) -> Callable[[str], str]:
    """What turns a file's keys, without a prefix, into those that tell its component: Wan's own for a DiT in diffusers' names, else the same."""
    return to_original if naming_of(keys) == DIFFUSERS else str


def unknown_keys(keys: Iterable[str]) -> list[str]:
    """The keys of modules that have no name in the other naming, such as Animate's face adapter, whose k and v are fused only in Wan's."""
    return [key for key in keys if _known.match(key) is None]


RENAMES: dict[str, Callable[[str], str]] = {ORIGINAL: to_original, DIFFUSERS: to_diffusers, AS_THEY_ARE: str}
"""What the names of a converted DiT can be."""


def rename_for(names: str, keys: Iterable[str]) -> Callable[[str], str]:
    """What turns a DiT's key into the wanted naming; the other components have one naming a file, which stays. keys: the model's, without a prefix.

    Raises ConvertError where some of the keys have no name in the wanted naming: renaming the others would leave a mix that nothing loads.
    """
    keys = list(keys)
    naming = naming_of(keys)
    if naming is None or names == AS_THEY_ARE:
        return str
    unknown = unknown_keys(keys)
    if unknown and naming == DIFFUSERS:
        raise ConvertError(
            f"the tensors have diffusers' names, and {len(unknown)} of them have none that is known: {', '.join(unknown[:5])}. "
            f"Take the model in Wan's own names, or take the names {AS_THEY_ARE}."
        )
    if unknown and names == DIFFUSERS:
        raise ConvertError(f"diffusers has no names for {len(unknown)} of the tensors: {', '.join(unknown[:5])}. Take the names {ORIGINAL}.")
    return RENAMES[names]
