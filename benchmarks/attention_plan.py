"""What benchmarks/attention.py measures: the attentions of Wan, and what else ComfyUI's hook may be asked. Standard library only."""

from typing import NamedTuple

VIDEO_480P, VIDEO_720P, TEXT, IMAGE = 32760, 75600, 512, 257
"""Tokens of 832x480x81 and of 1280x720x81, and of what they attend to."""


class Attention(NamedTuple):
    """A call: its sizes, heads sharing the keys of `groups`; mask: "" or how it is spread, over a batch's keys or over every head's queries."""

    name: str
    batch: int
    queries: int
    keys: int
    heads: int
    groups: int
    width: int = 128
    mask: str = ""

    @property
    def operations(self) -> int:
        """Of both its products."""
        return 4 * self.batch * self.queries * self.keys * self.heads * self.width


class Plan(NamedTuple):
    """target_ms: about how long a kernel is measured in each attention."""

    attentions: tuple[Attention, ...]
    target_ms: float


def _plan(video: int, larger: int, text: int, heads: int, few_heads: int, target_ms: float) -> Plan:
    return Plan(
        (
            Attention("14B 480p self", 1, video, video, heads, heads),
            Attention("14B 480p text", 1, video, text, heads, heads),
            Attention("14B 720p self", 1, larger, larger, heads, heads),
            Attention("14B 720p text", 1, larger, text, heads, heads),
            Attention("14B 480p image", 1, video, IMAGE, heads, heads),
            Attention("14B 480p self, cfg", 2, video, video, heads, heads),
            Attention("1.3B 480p self", 1, video, video, few_heads, few_heads),
            Attention("1.3B 480p text", 1, video, text, few_heads, few_heads),
            Attention("short", 1, text, text, heads, heads),
            Attention("one frame", 1, video // 21, video // 21, heads, heads),
            Attention("shared keys", 1, video // 4, video // 4, heads, heads // 4),
            Attention("width 64", 1, video // 4, video // 4, heads, heads, width=64),
            Attention("keys masked", 1, video // 4, video // 4, heads, heads, mask="keys"),
            Attention("pairs masked", 1, video // 8, video // 8, heads, heads, mask="pairs"),
        ),
        target_ms,
    )


FULL = _plan(VIDEO_480P, VIDEO_720P, TEXT, 40, 12, 600)
SMALL = _plan(168, 210, 32, 4, 2, 0.1)
"""Shows on any machine that the script runs; its figures mean nothing."""
