"""A loaded model's own weights: without the LoRA that may be baked into its modules at the moment."""

from collections.abc import Mapping
from typing import NamedTuple

import torch


class Weights(NamedTuple):
    """The weights of a part of a model, which its clones share.

    root: ComfyUI's model; prefix: before the part's names in it; backups: what ComfyUI keeps while weights are patched, for a LoRA and for hooks.
    """

    root: torch.nn.Module
    prefix: str
    backups: tuple[Mapping[str, tuple], Mapping[str, tuple]]

    @property
    def module(self) -> torch.nn.Module:
        """The part, whose keys are a checkpoint's."""
        return self.root.get_submodule(self.prefix.removesuffix("."))

    def names(self) -> list[str]:
        """The names of the part's parameters and buffers that a file has."""
        module = self.module
        parameters = [name for name, parameter in module.named_parameters(remove_duplicate=False) if parameter is not None]
        saved = module.state_dict().keys()
        return [*parameters, *(name for name, _ in module.named_buffers(remove_duplicate=False) if name in saved)]

    def original(self, name: str) -> torch.Tensor:
        """The parameter or buffer as it was loaded, wherever it is now; its memory is the model's."""
        patched, hooked = (backup.get(self.prefix + name) for backup in self.backups)
        if hooked is not None:
            return hooked[0].detach()
        return (self._current(name) if patched is None else patched.weight).detach()

    def _current(self, name: str) -> torch.Tensor:
        owner, _, attribute = name.rpartition(".")
        return getattr(self.module.get_submodule(owner), attribute)


def weights_of(patcher, prefix: str) -> Weights:
    """The weights of a part of a patcher's model."""
    return Weights(patcher.model, prefix, (patcher.backup, patcher.hook_backup))
