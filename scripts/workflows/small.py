"""A workflow in small: few pixels, frames and steps, for a machine without a GPU."""

from __future__ import annotations

import copy

SMALL = {"width": 64, "height": 64, "length": 5}


def in_small(prompt: dict[str, dict]) -> dict[str, dict]:
    """A copy of a prompt with SMALL videos; where two samplers share the steps they stay as they are."""
    prompt = copy.deepcopy(prompt)
    for node in prompt.values():
        steps = {"steps": 2} if node["class_type"] == "KSampler" else {}
        node["inputs"] |= {name: value for name, value in (SMALL | steps).items() if name in node["inputs"]}
    return prompt
