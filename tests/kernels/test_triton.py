"""The Triton kernels without a GPU: their arithmetic under Triton's interpreter, and their compilation for each kind of GPU.

The compilation goes through the pack's own launching code, with a stand-in for Triton's driver that says which GPU is there: what it compiles is what
that GPU would run.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from lightquant.formats import INT4_G128, INT4_MARLIN, QuantizedWeight
from lightquant.formats.base import SMALLEST_AMAX
from lightquant.kernels.jit.tiles import ALIGNMENT, UNALIGNED, has_descriptors, rules, tile_for
from lightquant.kernels.quantize_rows import LIMITS

triton = pytest.importorskip("triton")

FP8 = torch.float8_e4m3fn
SHARED_KIB = {80: 163, 86: 99, 89: 99, 90: 227, 100: 227, 120: 99}
"""Compute capability -> shared memory that a block can have there."""
FIRST_WITH_FP8 = 89
PROCESSORS = 132

INTERPRETED = Path(__file__).with_name("interpreted.py")
CHECKS = re.findall(r"^def (check_\w+)", INTERPRETED.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str | None]:
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, str(INTERPRETED)], capture_output=True, text=True, env=environment, cwd=Path("/"))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("check", CHECKS)
def test_in_the_interpreter(check, outcomes):
    assert outcomes[check] is None, outcomes[check]


class GPU(NamedTuple):
    """What Triton's driver is asked for when a kernel is compiled. capability: 90 for sm_90."""

    capability: int

    def get_current_device(self) -> int:
        return self.capability  # Triton keeps what it compiled by device

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self):
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", self.capability, 32)


class Compiled(NamedTuple):
    name: str
    shared: int
    cubin: bytes
    ptx: str


@contextlib.contextmanager
def compiling_for(capability: int):
    """What is launched inside is compiled for a GPU instead, and listed."""
    from triton.runtime import driver
    from triton.runtime.jit import JITFunction

    done: list[Compiled] = []

    def launch(self, grid):
        def compile_only(*args, **kwargs):
            kernel = self.run(*args, grid=grid, warmup=True, **kwargs)
            done.append(Compiled(kernel.metadata.name, kernel.metadata.shared, kernel.asm["cubin"], kernel.asm["ptx"]))

        return compile_only

    before = driver._active
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JITFunction, "__getitem__", launch)
        driver._active = GPU(capability)
        try:
            yield done
        finally:
            driver._active = before


def check(done: list[Compiled], capability: int) -> None:
    assert done
    for kernel in done:
        print(f"sm_{capability} {kernel.name}: shared {kernel.shared}, {usage(kernel.cubin)}")
        assert kernel.cubin, kernel.name
        assert kernel.shared <= SHARED_KIB[capability] * 1024, kernel.name


def usage(cubin: bytes) -> str:
    """Registers and bytes of stack, of which spilled registers are a part, where Triton came with the tool that tells."""
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    if not tool.exists():
        return ""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        said = subprocess.run([str(tool), "--dump-resource-usage", file.name], capture_output=True, text=True).stdout
    return " ".join(re.findall(r"(?:REG|STACK):\d+", said))


def pair(capability: int) -> tuple[int, int]:
    return divmod(capability, 10)


def products() -> list:
    kinds = [(capability, dtype) for capability in SHARED_KIB for dtype in LIMITS if dtype is torch.int8 or capability >= FIRST_WITH_FP8]
    return [pytest.param(*kind, id=f"sm_{kind[0]}-{str(kind[1]).removeprefix('torch.')}") for kind in kinds]


@pytest.mark.parametrize(("capability", "dtype"), products())
def test_every_tile_of_the_table_compiles_and_fits(capability, dtype):
    from lightquant.kernels.jit import products as triton_products

    scales = torch.ones(64, 1), torch.ones(512, 1)
    bias = torch.ones(512, dtype=torch.bfloat16)
    for tile in dict.fromkeys([*(rule.tile for rule in rules(pair(capability), dtype)), UNALIGNED]):
        with compiling_for(capability) as done:
            for inner, out_dtype, extra in ((512, torch.bfloat16, bias), (528, torch.float32, None), (520, torch.float16, bias)):
                if (inner % ALIGNMENT != 0) != (tile is UNALIGNED):
                    continue
                rows, data = torch.empty(64, inner, dtype=dtype), torch.empty(512, inner, dtype=dtype)
                out = torch.empty(64, 512, dtype=out_dtype)
                triton_products.multiply(rows, scales[0], data, scales[1], extra, out, tile, PROCESSORS)
        check(done, capability)
        assert all(instruction(capability, dtype, tile) in kernel.ptx for kernel in done), tile


def instruction(capability: int, dtype: torch.dtype, tile) -> str:
    """The tensor cores' instruction that a tile should come down to; Triton multiplies few rows of fp8 in fp16 on sm_90 and sm_100."""
    if tile.rows >= 64 and capability == 90:
        return "wgmma.mma_async"
    if tile.rows >= 64 and capability == 100 and dtype is FP8:
        return "tcgen05.mma"
    return "mma.sync"


@pytest.mark.parametrize("capability", SHARED_KIB)
def test_the_other_kernels_compile_and_fit(capability):
    from lightquant.kernels.jit import groups, int4, rows

    has_fp8 = capability >= FIRST_WITH_FP8
    with compiling_for(capability) as done:
        for format_ in (INT4_G128, INT4_MARLIN):
            stored, row_scale = format_.quantize(torch.randn(128, 256)), torch.empty(128, 1)
            int4.scale_rows(*stored, row_scale, SMALLEST_AMAX)
            for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.int8):
                int4.expand(*stored, 0, torch.empty(128, 256, dtype=dtype), row_scale if dtype is torch.int8 else None)
        for width in (5120, 13824):
            x = torch.empty(2, width, dtype=torch.bfloat16)
            for dtype in [torch.int8, FP8] if has_fp8 else [torch.int8]:  # Triton has no conversion to fp8 before sm_89
                rows.quantize_rows(x, torch.empty_like(x, dtype=dtype), torch.empty(2, 1), LIMITS[dtype], SMALLEST_AMAX)
        if has_fp8:
            scale = torch.empty(width // 128, 4).t()
            groups.quantize_groups(x, torch.empty_like(x, dtype=FP8), scale[:2], 128, LIMITS[FP8], SMALLEST_AMAX)
    check(done, capability)


@pytest.mark.parametrize("capability", SHARED_KIB)
def test_a_new_number_of_rows_compiles_nothing(capability):
    """Within one bucket of the table."""
    from lightquant.kernels.jit import products as triton_products

    with compiling_for(capability) as done:
        for rows in (600, 601, 1111, 32768):
            tile = tile_for(pair(capability), torch.int8, rows, 512, has_descriptors(pair(capability), torch.int8))
            x, data, out = torch.empty(rows, 512, dtype=torch.int8), torch.empty(512, 512, dtype=torch.int8), torch.empty(rows, 512)
            triton_products.multiply(x, torch.ones(rows, 1), data, torch.ones(512, 1), None, out, tile, PROCESSORS)
    assert len({id(kernel.cubin) for kernel in done}) == 1


def test_a_product_of_every_size_on_every_gpu_has_a_tile():
    for capability in [*map(pair, SHARED_KIB), (8, 7), (12, 1), (13, 0)]:
        for dtype in LIMITS:
            for rows in (1, 16, 17, 512, 513, 75600):
                assert not tile_for(capability, dtype, rows, 53, descriptors=False).descriptors
                assert tile_for(capability, dtype, rows, 5120, descriptors=True)
    assert tile_for((9, 0), FP8, 32760, 5120, descriptors=True).descriptors


def test_the_operators_fakes_know_the_outputs_of_every_packing():
    from lightquant.kernels import triton_int4, triton_product
    from torch._subclasses.fake_tensor import FakeTensorMode

    draw = torch.randn(64, 256)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        rows, row_scale, x = torch.empty(5, 256, dtype=torch.int8), torch.empty(5, 1), torch.empty(5, 256, dtype=torch.float16)
        for product in (triton_product.triton_tma_matmul, triton_product.triton_matmul):
            y = product(rows, row_scale, torch.empty(64, 256, dtype=torch.int8), torch.empty(64, 1), None, torch.bfloat16)
            assert (y.shape, y.dtype) == ((5, 64), torch.bfloat16)
        for format_ in (INT4_G128, INT4_MARLIN):
            with torch._subclasses.fake_tensor.unset_fake_temporarily():
                stored = format_.quantize(draw)
            stored = [mode.from_tensor(part) for part in stored]
            assert triton_int4.int4_triton_a8_matmul(rows, row_scale, *stored, None, torch.float16).shape == (5, 64)
            y = triton_int4.int4_triton_linear(x, *stored, None)
            assert (y.shape, y.dtype) == ((5, 64), torch.float16)


@pytest.mark.parametrize("capability", SHARED_KIB)
def test_the_fused_rows_compile_for_every_width_of_wan(capability):
    from lightquant.kernels.fused_rows import Norm
    from lightquant.kernels.jit import fused
    from lightquant.kernels.quantize import empty
    from lightquant.kernels.rows import GROUP, Coding

    codings = [None, Coding(torch.int8), *([Coding(FP8), Coding(FP8, GROUP)] if capability >= FIRST_WITH_FP8 else [])]
    with compiling_for(capability) as done:
        for columns in (1536, 5120):
            x, sets = torch.empty(4, columns, dtype=torch.bfloat16), torch.empty(1, columns, dtype=torch.bfloat16)
            freqs = torch.empty(1, 4, 1, 64, 2, 2)
            fused.rms_rope(x, sets[0], freqs, torch.empty_like(x), 4, 1e-6)
            for coding in codings:
                into = (*empty(x, coding), LIMITS[coding.dtype] if coding else 0.0)
                fused.norm_rows(x, None, None, None, Norm(sets, sets, 1e-6, True, 4, 4), *into)
                fused.norm_rows(x, x, sets, torch.empty_like(x), Norm(sets[0], sets[0], 1e-6, False, 4, 4), *into)
        for columns, coding in product((8960, 13824), codings):
            x = torch.empty(4, columns, dtype=torch.bfloat16)
            fused.gelu_rows(x, *empty(x, coding), LIMITS[coding.dtype] if coding else 0.0)
    check(done, capability)
    assert len(done) == 2 + 6 * len(codings)


@pytest.mark.gpu
@pytest.mark.parametrize("format_", [INT4_G128, INT4_MARLIN], ids=lambda format_: format_.packing)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_on_the_gpu_int4_is_expanded_bit_for_bit(format_, dtype):
    from lightquant.kernels.jit import int4

    stored = format_.quantize(torch.randn(1280, 5120) * torch.logspace(-2, 0, 1280)[:, None])
    piece = torch.empty(640, 5120, device="cuda", dtype=dtype)
    int4.expand(*(part.cuda() for part in stored), 640, piece)
    assert torch.equal(piece.cpu(), format_.dequantize(stored, dtype, slice(640, 1280)))


@pytest.mark.gpu
@pytest.mark.parametrize("rows", [1, 17, 300, 4099])
def test_on_the_gpu_int4_kernels_read_marlins_packing(rows):
    from lightquant.kernels import reference, triton_int4

    stored = INT4_MARLIN.quantize(torch.randn(1280, 5120) * torch.logspace(-2, 0, 1280)[:, None])
    stored = type(stored)(*(part.cuda() for part in stored))
    x, bias = torch.randn(rows, 5120, device="cuda").bfloat16(), torch.randn(1280, device="cuda").bfloat16()
    for kernel in triton_int4.VARIANTS:
        assert kernel.is_supported(x.device)[0]
        error = reference.relative_error(kernel.linear(x, stored, bias), reference.linear(kernel, x, stored, bias))
        assert error <= kernel.tolerance(x.dtype)


@pytest.mark.gpu
def test_on_the_gpu_large_products_are_right_to_the_last_row():
    """The last results lie more than 2**31 elements behind the first."""
    from lightquant.kernels import triton_int8
    from lightquant.kernels.rows import Rows

    rows, outputs, inputs = (1 << 31) // 13824 + 200, 13824, 256
    values = torch.randint(-127, 128, (rows, inputs), device="cuda", dtype=torch.int8)
    data = torch.randint(-127, 128, (outputs, inputs), device="cuda", dtype=torch.int8)
    given = Rows(values, torch.full((rows, 1), 1e-4, device="cuda"))
    weight = QuantizedWeight(data, torch.linspace(0.01, 1, outputs, device="cuda")[:, None])
    for kernel in triton_int8.VARIANTS:
        if kernel.is_supported(values.device)[0]:
            y = kernel.matmul(given, weight, None, torch.bfloat16)
            expected = (values[-64:].double() * 1e-4) @ (data.double() * weight.scale).t()
            assert float((y[-64:].double() - expected).norm() / expected.norm()) < 0.004
            del y
