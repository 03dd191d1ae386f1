"""The moments in the life of a patcher at which something of the pack's is to be done."""

import uuid
from collections.abc import Callable, Mapping

from comfy.patcher_extension import CallbacksMP, WrappersMP

CLONE, LOAD, BEGIN, END, DETACH, HOOKS = (
    CallbacksMP.ON_CLONE, CallbacksMP.ON_LOAD, CallbacksMP.ON_PRE_RUN, CallbacksMP.ON_CLEANUP, CallbacksMP.ON_DETACH, CallbacksMP.ON_APPLY_HOOKS,
)  # fmt: skip
"""The patcher was cloned; its weights were loaded; sampling begins; sampling has ended, by an error too; it leaves its device; hooks change weights.

Text encoders and CLIP vision know neither BEGIN nor END.
"""


def set_callbacks(patcher, key: str, callbacks: Mapping[str, Callable]) -> None:
    """Have a clone call these at their moments, in place of what it called under the key. Each is called with the patcher and what ComfyUI adds."""
    for moment in (CLONE, LOAD, BEGIN, END, DETACH, HOOKS):
        patcher.remove_callbacks_with_key(moment, key)
        if moment in callbacks:
            patcher.add_callback_with_key(moment, key, callbacks[moment])


def at_each_prediction(patcher, key: str, call: Callable[[int], None]) -> None:
    """Have a clone call this with the number of steps of the run, before each prediction; some samplers make several a step."""

    def predict(executor, x, timestep, model_options=None, seed=None):
        sigmas = (model_options or {}).get("transformer_options", {}).get("sample_sigmas")
        if sigmas is not None:
            call(len(sigmas) - 1)
        return executor(x, timestep, model_options, seed)

    patcher.remove_wrappers_with_key(WrappersMP.PREDICT_NOISE, key)
    patcher.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, key, predict)


def renew(patcher) -> None:
    """Have ComfyUI take a clone's weights for others than those it was cloned from, so that it loads them anew and does not go on with those."""
    patcher.patches_uuid = uuid.uuid4()
