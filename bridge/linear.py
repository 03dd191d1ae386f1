"""The operations class of a quantized model: ComfyUI's manual_cast with our Linear."""

import comfy.float
import comfy.ops
import torch
import torch.nn.functional as F
from comfy.quant_ops import QuantizedTensor

from ..kernels import Activation, Selection, Selections
from .beside import Beside
from .layouts import format_in, stored
from .lending import Lender, lend, take_back


def operations_for(by_format: Selections) -> type:
    """The class that ComfyUI builds a model's layers from, its Linear bound to these kernels.

    One is made per load: models share nothing through it.
    """

    class Operations(comfy.ops.manual_cast):
        class Linear(QuantizedLinear):
            selections = by_format

    return Operations


class QuantizedLinear(comfy.ops.manual_cast.Linear):
    """A Linear whose weight may be quantized, and then is multiplied by the kernel of its format; with a float weight it is ComfyUI's own.

    Its parameters come with the state dict: no memory is taken for them before, and a quantized weight is used where the file's mapping has it.
    """

    selections: Selections

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device=None, dtype=None):
        torch.nn.Module.__init__(self)
        self.in_features, self.out_features = in_features, out_features
        self.register_parameter("weight", None)
        self.register_parameter("bias", None)
        self._has_bias = bias
        self._device, self._dtype = device, dtype
        # What ComfyUI's archive_model_dtypes would note, had the parameters existed: the dtype that dynamic VRAM pages a float weight in as.
        self.weight_comfy_model_dtype = self.bias_comfy_model_dtype = dtype

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs):
        shapes = {"weight": (self.out_features, self.in_features), "bias": (self.out_features,)}
        for name in ("weight", "bias") if self._has_bias else ("weight",):
            value = state_dict.get(prefix + name)
            if value is None:
                missing_keys.append(prefix + name)
            elif tuple(value.shape) != shapes[name]:
                error_msgs.append(f"{prefix}{name} has shape {list(value.shape)}, where the model has {list(shapes[name])}")
            else:
                self.register_parameter(name, torch.nn.Parameter(self._placed(value, local_metadata), requires_grad=False))
        unexpected_keys.extend(key for key in state_dict if key.startswith(prefix) and key[len(prefix) :] not in shapes)

    def missing(self) -> list[str]:
        """The parameters that no state dict has brought yet."""
        return [name for name in (("weight", "bias") if self._has_bias else ("weight",)) if getattr(self, name) is None]

    def _placed(self, value: torch.Tensor, local_metadata: dict) -> torch.Tensor:
        if isinstance(value, QuantizedTensor):
            return value.to(device=self._device) if self._device is not None else value
        if local_metadata.get("assign_to_params_buffers", False):
            return value
        return value.to(device=self._device, dtype=self._dtype, copy=True)

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        if not isinstance(self.weight, QuantizedTensor):
            super()._save_to_state_dict(destination, prefix, keep_vars)
            return
        destination.update(self.weight.state_dict(prefix + "weight"))
        if self.bias is not None:
            destination[prefix + "bias"] = self.bias if keep_vars else self.bias.detach()

    @property
    def kernel_selection(self) -> Selection:
        """The kernel of a quantized weight's format."""
        return self.selections[format_in(self.weight).name]

    @property
    def weight_scale(self) -> torch.Tensor:
        """The scale of a quantized weight: ComfyUI's hooks and merging nodes look every key of the state dict up as an attribute."""
        if not isinstance(self.weight, QuantizedTensor):
            raise AttributeError("a float weight has no scale")
        return stored(self.weight).scale

    @property
    def layout_type(self) -> str | None:
        """The layout of a quantized weight, into which ComfyUI 0.16 and 0.18 round what their dynamic VRAM has patched."""
        return self.weight._layout_cls if isinstance(self.weight, QuantizedTensor) else None

    def _apply(self, fn, recurse=True):
        """Moves and casts by replacing the parameters: torch would swap a quantized one's insides, which fails for tensors made in inference mode."""
        for name, parameter in self._parameters.items():
            if parameter is not None:
                self._parameters[name] = torch.nn.Parameter(fn(parameter), requires_grad=False)
        return self

    lender: Lender | None = None
    """Who brings the weight to the device, while the model of a clone that is offloaded runs; None: ComfyUI."""

    beside: tuple[Beside, ...] = ()
    """What computes beside the product, while the model of a clone that has a LoRA runs; see beside.py."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.multiply(Activation.of(x))

    def multiply(self, activation: Activation) -> torch.Tensor:
        """forward, of an activation that other layers multiply too."""
        is_lent = isinstance(self.weight, QuantizedTensor) or self.lender is not None
        if is_lent and not self.weight_function and not self.bias_function:
            y = self._multiply(activation)
        else:
            # Patches are added to the float weight, which is then multiplied as it is: rounding it again would round a LoRA away.
            y = super().forward(activation.floats())
            for each in self.beside:
                y = each.add_bias(y)
        for each in self.beside:
            y = each.add(activation.floats(), y)
        return y

    def _multiply(self, activation: Activation) -> torch.Tensor:
        """x @ W.T + b by the model's kernel, the bias being that of the layer and of what is beside it."""
        comfy.ops.run_every_op()
        like = activation.like
        loan = lend(self, like)
        bias = loan.bias
        for each in self.beside:
            bias = each.bias_with(bias, like)
        if isinstance(loan.weight, QuantizedTensor):
            y = self.kernel_selection.multiply(activation, stored(loan.weight), bias)
        else:
            y = F.linear(activation.floats(), loan.weight.to(like.dtype), bias)
        take_back(self, loan)
        return y

    def convert_weight(self, weight: torch.Tensor, inplace: bool = False, **kwargs) -> torch.Tensor:
        """The float weight that ComfyUI adds a LoRA to."""
        return weight.dequantize() if isinstance(weight, QuantizedTensor) else weight

    def set_weight(self, weight: torch.Tensor, inplace_update: bool = False, seed: int | None = None, return_weight: bool = False, **kwargs):
        """Take a patched float weight back into the stored format (stochastically rounded by the seed), or return it so."""
        if isinstance(self.weight, QuantizedTensor):
            weight = QuantizedTensor.from_float(weight, self.weight._layout_cls, stochastic_rounding=seed).to(self.weight.dtype)
        else:
            weight = comfy.float.stochastic_rounding(weight, self.weight.dtype, seed=seed)
        if return_weight:
            return weight
        self.weight = torch.nn.Parameter(weight, requires_grad=False)
        return None
