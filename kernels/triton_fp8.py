"""`fp8-triton`: fp8-channel weights multiplied by Triton kernels that apply the scales and the bias where the product ends.

The tensor cores add up in about 14 bits on sm_89 and sm_90, as torch's fast accumulation does, so that outputs of every dtype are held to 0.004.
Outputs in fp32 (ComfyUI's text encoders) are written from the accumulators, without a detour over bf16.
"""

from .triton_product import TritonProduct


class FP8Triton(TritonProduct):
    name, format = "fp8-triton", "fp8-channel"
    lowest = (8, 9)
    is_exact_in_fp32 = False


VARIANTS = (FP8Triton(descriptors=True), FP8Triton(descriptors=False))
"""Best first."""
