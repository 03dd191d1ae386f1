"""Own streaming for a clone, where ComfyUI's dynamic VRAM is off."""

from dataclasses import dataclass

import torch

from ..bridge import memory
from .curtain import draw
from .hosts import Hosts
from .lanes import lane_for
from .plan import Plan
from .settings import GIB, Settings
from .stream import Patches, Stream, Surroundings
from .usage import Usage


@dataclass(frozen=True)
class _Place:
    """Of the clone that was loaded last: its model, its device, what its object patches have replaced, and its patches."""

    model: torch.nn.Module
    device: torch.device
    originals: dict[str, object]
    patches: Patches
    hooked: bool


class Streaming:
    """Serves a plan's units. The clones made from the one that it was set up for share it.

    A DiT's run has a beginning and an end. An encoder's begins when its weights are loaded or its first layer is called, and ends with its last
    layer.
    """

    def __init__(self, plan: Plan, settings: Settings, usage: Usage, has_end: bool):
        self._plan, self._settings, self._usage, self._has_end = plan, settings, usage, has_end
        self._modules = [layer.module for unit in plan.streamed for layer in unit.layers]
        self._place: _Place | None = None
        self._hosts: Hosts | None = None
        self._stream: Stream | None = None
        self._hook = None

    def load(self, patcher, *_: object) -> None:
        """ComfyUI has loaded what it could see."""
        self._note(patcher)
        memory.leave_room(patcher, self._plan.buffer_bytes)
        if not self._has_end:
            self.arrive()

    def begin(self, patcher) -> None:
        """Sampling begins."""
        self._usage.begin(patcher.load_device)
        self._note(patcher)
        self.arrive()

    def arrive(self) -> None:
        """Serve the layers from now on. No memory is taken before the first of them is called."""
        place = self._place
        draw(place.model, place.originals)
        if self._stream is not None:
            return
        self._hosts = self._hosts or self._new_hosts()
        around = Surroundings(
            patches=place.patches, may_copy=not place.hooked, wraps=self._has_end, at_turn=lambda: self._usage.look(place.device),
        )  # fmt: skip
        self._stream = Stream(self._plan.streamed, lane_for(place.device), self._hosts, around)
        for module in self._modules:
            if module.weight.device.type != "cpu":  # ComfyUI has loaded the whole model there, as with --highvram
                module.to("cpu")
            module.lender = self._stream
        if not self._has_end:
            self._hook = self._modules[-1].register_forward_hook(lambda *_: self.stop())

    def stop(self) -> None:
        """Serve them no longer, and give the buffers back. Copies in pinned memory stay for the next run, as long as the model is loaded."""
        if self._stream is None:
            return
        for module in self._modules:
            module.__dict__.pop("lender", None)
        if self._hook is not None:
            self._hook.remove()
        stream, self._stream, self._hook = self._stream, None, None
        stream.close()
        self._usage.streamed(stream.counts, self._hosts)

    def end(self, patcher) -> None:
        """Sampling has ended, in whatever way."""
        self.stop()
        self._usage.end(patcher)

    def detach(self, patcher, unpatch_all: bool = True) -> None:
        """The model leaves its device: give everything back.

        Without unpatch_all it is about to be loaded again, as a rule for this clone, as ComfyUI does it before every run. If it is for a clone that
        is not offloaded, the copies in pinned memory stay until this one is unloaded after a later run, or is gone.
        """
        self.stop()
        if unpatch_all and self._hosts is not None:
            self._hosts.close()
            self._hosts = None

    def hooks_applied(self, *_: object) -> None:
        """Hooks have put other weights into the model."""
        if self._stream is not None:
            self._stream.forget()

    def _note(self, patcher) -> None:
        self._place = _Place(
            patcher.model, patcher.load_device, patcher.object_patches_backup, memory.patches_on(patcher), bool(patcher.hook_patches)
        )

    def _new_hosts(self) -> Hosts:
        wanted = int(self._settings.pinned_gib * GIB) or self._plan.streamed_bytes
        limit = min(wanted, memory.free_host_bytes()) if self._settings.copies else 0
        return Hosts(memory.pin if self._settings.pinned else _never, memory.unpin, limit)


def _never(buffer: torch.Tensor) -> bool:
    return False
