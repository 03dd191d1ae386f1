"""Many runs in a row, some of which go wrong: whether the pictures stay right, nothing stalls, and memory returns."""

import argparse
import contextlib
import gc
import itertools
import statistics
import time
from collections.abc import Callable, Iterator

SMALL_GIB = 0.05
"""Of a figure that is near zero, 1 % says nothing."""


@contextlib.contextmanager
def going_wrong(model, act: Callable[[], None], at_call: int) -> Iterator[None]:
    """While this lasts, the so-many-th call of a quantized layer of the model does something first."""
    from lightquant.bridge.linear import QuantizedLinear

    calls = itertools.count(1)

    def before(*_) -> None:
        if next(calls) == at_call:
            act()

    handles = [module.register_forward_pre_hook(before) for module in model.model.modules() if isinstance(module, QuantizedLinear)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def run(open_model: Callable[[], object], memory: Callable[[], dict[str, float]], options: argparse.Namespace) -> dict:
    """The figures of one way. Every fourth run is plain; the others are interrupted, run out of memory, or come behind another model's run."""
    import comfy.model_management as management
    import dit_step
    import torch

    def sample(model) -> tuple[torch.Tensor, list[float]]:
        latents, _, ended = dit_step.sample(model, dit_step.TIMED_SEED, 2, options, heavy=False)
        return latents, ended

    def settled() -> dict[str, float]:
        management.unload_all_models()
        gc.collect()
        management.soft_empty_cache()
        return memory()

    def out_of_memory() -> None:
        raise torch.OutOfMemoryError("injected")

    model, other = open_model(), open_model()
    expected, _ = sample(model)
    sample(other)
    before, step_s, wrong, raised = settled(), [], 0, 0
    accidents = (None, management.interrupt_current_processing, out_of_memory, other)
    for turn in range(options.runs):
        accident = accidents[turn % len(accidents)]
        if accident is other:
            sample(other)
        elif accident is not None:
            try:
                with going_wrong(model, accident, at_call=5 + turn % 11):
                    sample(model)
            except (management.InterruptProcessingException, torch.OutOfMemoryError):
                raised += 1
        latents, ended = sample(model)
        wrong += not torch.equal(latents, expected)
        step_s.append(ended[1] - ended[0])
        if time.perf_counter() - _BEGUN > options.seconds:
            break
    after = settled()
    return {
        "runs": turn + 1, "raised": raised, "accidents_to_raise": sum(accidents[each % 4] in accidents[1:3] for each in range(turn + 1)),
        "wrong_pictures": wrong, "step_s": step_s, "median_step_s": statistics.median(step_s), "longest_step_s": max(step_s),
        "before": before, "after": after, "leaks": {key: after[key] - before[key] for key in before},
        "within_1_percent": all(after[key] - before[key] <= max(0.01 * before[key], SMALL_GIB) for key in before),
    }  # fmt: skip


_BEGUN = time.perf_counter()
