"""The kernels of other packages against doubles that hold the packages' documented contracts; on a GPU test_kernels.py has the real ones."""

import functools

import kernel_doubles as doubles
import pytest
import torch
from lightquant.formats import FORMATS, repacked
from lightquant.kernels import deepgemm, marlin, q8f, reference, sgl, torch_fp8_block, vllm
from lightquant.kernels.foreign import libraries
from lightquant.kernels.foreign.libraries import has_operator
from lightquant.kernels.foreign.packages import Found
from small_models import Weights

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
CPU, TURING, HOPPER = torch.device("cpu"), torch.device("cuda", 0), torch.device("cuda", 1)
NOWHERE = Found("nowhere", "/nowhere", "")


@pytest.fixture
def operators():
    """Defines operators of other packages for one test: namespace, schema, function."""
    libraries = []

    def define(namespace: str, schema: str, function) -> None:
        library = torch.library.Library(namespace, "FRAGMENT")
        libraries.append(library)
        library.define(schema)
        library.impl(schema.split("(", 1)[0], function, "CompositeExplicitAutograd")

    yield define
    for library in libraries:
        library._destroy()


def define_marlin(define, schema: str, namespace: str = "_C") -> None:
    names = [part.split(" ")[-1] for part in schema.split("(", 1)[1].split(")", 1)[0].split(", ")]
    define(namespace, schema, functools.partial(doubles.marlin_operator, names=names))


@pytest.fixture(autouse=True)
def a_gpus_properties(monkeypatch):
    """Marlin asks how many multiprocessors there are."""
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: type("Properties", (), {"multi_processor_count": 132}))


def operands(kernel, rows: int, dtype: torch.dtype, inputs: int = 256, outputs: int = 256, size: float = 1.0):
    draw = Weights(rows)
    x = draw.normal(rows, inputs) * torch.logspace(-2, 1, rows)[:, None] * size
    if rows > 2:
        x[2] = 0
    stored = repacked(kernel.format, FORMATS[kernel.format].quantize(draw.matrix(outputs, inputs)), kernel.packings)
    return x.to(dtype), stored, draw.normal(outputs).to(dtype)


def check(kernel, dtype: torch.dtype, **sizes) -> None:
    for rows in (1, 17, 130):
        x, weight, bias = operands(kernel, rows, dtype, **sizes)
        for each in (bias, None):
            y = kernel.linear(x, weight, each)
            assert (y.dtype, y.shape) == (dtype, (rows, kernel.operand(weight).shape[0]))
            error = reference.relative_error(y, reference.linear(kernel, x, weight, each))
            assert error <= kernel.tolerance(dtype), error


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kernel", [vllm.FP8(), vllm.INT8()], ids=lambda kernel: kernel.name)
def test_vllm(operators, kernel, dtype):
    operators("_C", doubles.VLLM_SCHEMA, doubles.vllm_scaled_mm)
    kernel.load(NOWHERE, CPU)
    check(kernel, dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kernel", [sgl.FP8(), sgl.INT8()], ids=lambda kernel: kernel.name)
def test_sgl(operators, kernel, dtype):
    operators("sgl_kernel", kernel.function + doubles.SGL_SCHEMA, doubles.sgl_scaled_mm)
    kernel.load(NOWHERE, CPU)
    check(kernel, dtype)
    check(kernel, dtype, outputs=264)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("version", list(doubles.MARLIN_SCHEMAS))
def test_vllms_marlin_in_every_version(operators, version, dtype):
    define_marlin(operators, doubles.MARLIN_SCHEMAS[version])
    kernel = marlin.VLLMMarlin()
    kernel.load(NOWHERE, CPU)
    check(kernel, dtype)
    check(kernel, dtype, outputs=192)


@pytest.mark.parametrize("version", list(doubles.MARLIN_SCHEMAS))
def test_vllms_library_is_enough_whatever_the_operator_is_called(operators, tmp_path, monkeypatch, version):
    """Importing vllm pulls in far more than its kernels."""

    def never(name):
        raise AssertionError(f"{name} was imported")

    (tmp_path / "_C.abi3.so").touch()
    monkeypatch.setattr(torch.ops, "load_library", lambda path: define_marlin(operators, doubles.MARLIN_SCHEMAS[version]))
    monkeypatch.setattr(libraries.importlib, "import_module", never)
    marlin.VLLMMarlin().load(Found("vllm", str(tmp_path), ""), CPU)


def test_the_oldest_marlin_of_vllm_is_passed_over(operators):
    operators("_C", doubles.OLDEST_MARLIN, lambda *arguments: arguments[0])
    with pytest.raises(ImportError, match="takes no type of weights"):
        marlin.VLLMMarlin().load(NOWHERE, CPU)
    define_marlin(operators, doubles.MARLIN_SCHEMAS["vllm 0.8.5"])
    marlin.VLLMMarlin().load(NOWHERE, CPU)
    check(marlin.VLLMMarlin(), torch.bfloat16)


def test_a_marlin_whose_type_of_weights_is_no_number_is_passed_over(operators):
    """Before vllm 0.6.5 it was an object of a class of its own."""
    define_marlin(operators, doubles.MARLIN_SCHEMAS["vllm 0.8.5"].replace("int b_q_type", "Any b_q_type"))
    with pytest.raises(ImportError, match="takes no type of weights"):
        marlin.VLLMMarlin().load(NOWHERE, CPU)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_sgls_marlin(operators, dtype):
    define_marlin(operators, doubles.SGL_MARLIN, "sgl_kernel")
    kernel = marlin.SGLMarlin()
    kernel.load(NOWHERE, CPU)
    check(kernel, dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kernel", [marlin.ISTMarlin(), marlin.RebuiltMarlin()], ids=lambda kernel: kernel.package.name)
def test_marlin_itself(monkeypatch, kernel, dtype):
    name = kernel.package.module
    doubles.module(monkeypatch, name, mul=doubles.ist_mul)
    kernel.load(Found(name, "/nowhere", ""), CPU)
    check(kernel, dtype)
    assert not kernel.can_run(1, 256, 192, dtype, CPU)[0]


@pytest.fixture
def many_rows_by_triton(monkeypatch):
    """Triton as on a GPU where it works: what it would multiply is multiplied by the oracle."""

    class Expanding:
        def is_supported(self, device):
            return True, "here"

        def matmul(self, rows, weight, bias, out_dtype):
            return reference.matmul(marlin.ISTMarlin(), rows, weight, bias).to(out_dtype)

    monkeypatch.setattr(marlin, "_MANY_ROWS", Expanding())


def test_marlins_check_is_of_the_provider_where_triton_works_too(monkeypatch, many_rows_by_triton):
    multiplied = []

    def mul(a, *operands):
        multiplied.append(a.shape[0])
        doubles.ist_mul(a, *operands)

    doubles.module(monkeypatch, "marlin", mul=mul)
    kernel = marlin.ISTMarlin()
    finding = kernel.examine(NOWHERE._replace(module="marlin"), CPU)
    assert finding.works, finding.why
    assert {1, 17, 64, 130} <= set(multiplied)
    assert f"in {len(multiplied)} products" in finding.why
    multiplied.clear()
    check(kernel, torch.bfloat16)
    assert multiplied == [], "small weights are expanded where there is no check"


def test_a_marlin_that_raises_is_found_out_where_triton_works_too(monkeypatch, many_rows_by_triton):
    def mul(*_):
        raise RuntimeError("no kernel image is available")

    doubles.module(monkeypatch, "marlin", mul=mul)
    finding = marlin.ISTMarlin().examine(NOWHERE._replace(module="marlin"), CPU)
    assert (finding.works, finding.why) == (False, "it fails: no kernel image is available")


@pytest.mark.parametrize("size", [1e-30, 1e30], ids=str)
def test_marlins_fp16_holds_rows_of_any_size(monkeypatch, size):
    """The double fails if a product is not finite."""
    doubles.module(monkeypatch, "marlin", mul=doubles.ist_mul)
    check(marlin.ISTMarlin(), torch.bfloat16, size=size)


def test_marlin_lets_nan_through(monkeypatch):
    values, power = marlin.to_fp16(torch.tensor([[1.0, float("nan")], [float("inf"), 1.0], [0.0, 0.0]]))
    y = values.float().sum(1, keepdim=True) * power
    assert y.isnan().flatten().tolist() == [True, True, False]


def test_an_unknown_argument_of_marlin_is_named(operators):
    schema = doubles.MARLIN_SCHEMAS["vllm 0.26"].replace("bool is_zp_float", "bool is_zp_float, int thread_tile")
    operators("_C", schema, lambda *arguments: arguments[0])
    x, weight, bias = operands(marlin.VLLMMarlin(), 4, torch.float16)
    with pytest.raises(TypeError, match="thread_tile"):
        marlin.VLLMMarlin().linear(x, weight, bias)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_cublas_block_products_get_rows_in_fours(monkeypatch, dtype):
    monkeypatch.setattr(torch, "_scaled_mm", doubles.block_scaled_mm)
    check(torch_fp8_block.BlockWise(), dtype, inputs=512)
    assert not torch_fp8_block.BlockWise().can_run(4, 8960, 1536, dtype, CPU)[0]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", deepgemm.FUNCTIONS)
def test_deepgemm_under_both_names(monkeypatch, name, dtype):
    doubles.module(monkeypatch, "deep_gemm", **{name: doubles.fp8_gemm_nt})
    monkeypatch.setattr(deepgemm, "find", lambda package: NOWHERE)
    kernel = deepgemm.DeepGEMM()
    kernel.load(NOWHERE, CPU)
    check(kernel, dtype)
    check(kernel, dtype, outputs=192)


def test_another_deep_gemm_is_refused(monkeypatch):
    doubles.module(monkeypatch, "deep_gemm")
    monkeypatch.setattr(deepgemm, "find", lambda package: NOWHERE)
    with pytest.raises(ImportError, match="fp8_gemm_nt"):
        deepgemm.DeepGEMM().load(NOWHERE, CPU)


KONAKONA = {"fp8_linear": doubles.konakona_fp8_linear, "q8_linear": doubles.konakona_q8_linear}
LIGHTRICKS = {"q8_linear": doubles.lightricks_q8_linear, "fp8_linear_func": None}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("fork", [KONAKONA, LIGHTRICKS], ids=["KONAKONA", "Lightricks"])
def test_q8_kernels_int8_in_both_forks(monkeypatch, fork, dtype):
    doubles.module(monkeypatch, "q8_kernels.functional.linear", **fork)
    q8f.INT8().load(NOWHERE, CPU)
    check(q8f.INT8(), dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_q8_kernels_fp8(monkeypatch, dtype):
    doubles.module(monkeypatch, "q8_kernels.functional.linear", **KONAKONA)
    q8f.FP8().load(NOWHERE, CPU)
    check(q8f.FP8(), dtype)


def test_the_fork_without_fp8_is_named(monkeypatch):
    doubles.module(monkeypatch, "q8_kernels.functional.linear", **LIGHTRICKS)
    with pytest.raises(ImportError, match=r"fork by Lightricks.*int8-q8f"):
        q8f.FP8().load(NOWHERE, CPU)


REFUSED = [
    (vllm.FP8(), 200, 256), (vllm.INT8(), 256, 100), (sgl.FP8(), 200, 256), (sgl.INT8(), 256, 100), (q8f.FP8(), 96, 256), (q8f.INT8(), 256, 192),
    (marlin.VLLMMarlin(), 64, 256), (marlin.VLLMMarlin(), 256, 96), (marlin.ISTMarlin(), 256, 64), (deepgemm.DeepGEMM(), 64, 256),
    (deepgemm.DeepGEMM(), 256, 96),
]  # fmt: skip


@pytest.mark.parametrize(("kernel", "inputs", "outputs"), REFUSED)
def test_sizes_beyond_a_kernels_limits_are_refused_with_words(kernel, inputs, outputs):
    able, why = kernel.can_run(4, inputs, outputs, torch.bfloat16, CPU)
    assert not able
    assert f"{outputs} x {inputs}" in why
    assert kernel.can_run(4, 256, 256, torch.bfloat16, CPU)[0]


def test_int8_of_sgl_writes_fp16_alone_on_turing(monkeypatch):
    capabilities = {TURING: (7, 5), HOPPER: (9, 0)}
    monkeypatch.setattr(torch.cuda, "get_device_capability", capabilities.get)
    assert not sgl.INT8().can_run(4, 256, 256, torch.bfloat16, TURING)[0]
    assert sgl.INT8().can_run(4, 256, 256, torch.float16, TURING)[0]
    assert sgl.INT8().can_run(4, 256, 256, torch.bfloat16, HOPPER)[0], "another GPU of the same machine"


@pytest.mark.parametrize("kernel", [sgl.FP8(), marlin.SGLMarlin()], ids=lambda kernel: kernel.name)
def test_sgls_library_is_the_one_for_the_device(tmp_path, monkeypatch, kernel):
    """Files that are no libraries: which were tried is in the words."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", {TURING: (7, 5), HOPPER: (9, 0)}.get)
    for folder in ("sm90", "sm100"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"common_ops.{folder}.so").write_bytes(b"no library")
    for device, folder in ((HOPPER, "sm90"), (TURING, "sm100")):
        with pytest.raises(ImportError, match=rf"\(common_ops\.{folder}\.so: [^;]*; import sgl_kernel"):
            kernel.load(Found("sgl_kernel", str(tmp_path), ""), device)


def test_what_a_missing_library_lacks_is_said():
    with pytest.raises(ImportError, match=r"it has no operator _C::cutlass_scaled_mm \(import vllm._custom_ops: No module named 'vllm'\)"):
        vllm.FP8().load(NOWHERE, CPU)
    assert not has_operator("_C::cutlass_scaled_mm")


def test_a_library_that_does_not_load_says_why(tmp_path):
    (tmp_path / "_C_stable_libtorch.abi3.so").write_bytes(b"no library")
    with pytest.raises(ImportError, match=r"_C_stable_libtorch.abi3.so: .*(invalid ELF header|file too short)"):
        vllm.FP8().load(Found("vllm", str(tmp_path), "0.26.0"), CPU)


def test_a_weight_of_another_packing_goes_to_the_fallback():
    plain = FORMATS["int4-g128"].quantize(Weights(0).matrix(256, 256))
    able, why = marlin.VLLMMarlin().takes(4, plain, torch.bfloat16)
    assert not able
    assert "packed as marlin, this one is plain" in why
    assert marlin.VLLMMarlin().takes(4, repacked("int4-g128", plain, ("marlin",)), torch.bfloat16)[0]


@pytest.mark.parametrize("kernel", [vllm.FP8(), sgl.INT8(), marlin.VLLMMarlin(), deepgemm.DeepGEMM(), q8f.INT8()], ids=lambda kernel: kernel.name)
def test_they_compile_without_a_graph_break(monkeypatch, operators, kernel):
    operators("_C", doubles.VLLM_SCHEMA, doubles.vllm_scaled_mm)
    operators("sgl_kernel", "int8_scaled_mm" + doubles.SGL_SCHEMA, doubles.sgl_scaled_mm)
    define_marlin(operators, doubles.MARLIN_SCHEMAS["vllm 0.26"])
    doubles.module(monkeypatch, "deep_gemm", fp8_gemm_nt=doubles.fp8_gemm_nt)
    doubles.module(monkeypatch, "q8_kernels.functional.linear", **KONAKONA)
    x, weight, bias = operands(kernel, 17, torch.bfloat16)
    compiled = torch.compile(lambda x: kernel.linear(x, weight, bias), fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x), kernel.linear(x, weight, bias))
