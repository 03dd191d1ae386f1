"""What says that memory was short, and what says that a kernel fails."""

import pytest
import torch
from lightquant.kernels import jit
from lightquant.kernels.checks.memory import is_lack_of_memory
from lightquant.kernels.checks.numeric import judged, tried
from lightquant.kernels.torch_int8 import VARIANTS

LACKS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API call"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("Triton Error [CUDA]: out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    MemoryError(),
]
FAILURES = [
    RuntimeError("CUDA error: no kernel image is available for execution on the device"),
    RuntimeError("out of resource: shared memory, Required: 262144, Hardware limit: 101376. Reducing block sizes or `num_stages` may help."),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasLtMatmulAlgoGetHeuristic`"),
]  # fmt: skip


def raising(problem: Exception):
    def check(*_):
        raise problem

    return check


@pytest.mark.parametrize("problem", LACKS, ids=str)
def test_a_lack_of_memory_says_nothing_of_a_kernel(problem):
    assert is_lack_of_memory(problem)
    finding = judged(map(raising(problem), [1]), "products")
    assert (finding.works, finding.lasting) == (False, False)
    assert finding.why.startswith("its check had no memory: ")
    with pytest.raises(torch.OutOfMemoryError):
        tried(VARIANTS[0], raising(problem))
    with pytest.raises(torch.OutOfMemoryError):
        jit.if_right("tiles", raising(problem), "it is slower")


@pytest.mark.parametrize("problem", FAILURES, ids=str)
def test_a_failure_is_the_kernels(problem):
    assert not is_lack_of_memory(problem)
    finding = judged(map(raising(problem), [1]), "products")
    assert (finding.works, finding.lasting) == (False, True)
    works, why = tried(VARIANTS[0], raising(problem))
    assert (works, "fails here: " in why) == (False, True)
    assert jit.if_right("tiles", raising(problem), "it is slower") is None


@pytest.mark.skipif(not hasattr(torch, "AcceleratorError"), reason="an error of newer torches")
def test_what_newer_torches_raise_of_a_full_card():
    assert is_lack_of_memory(torch.AcceleratorError("CUDA error: out of memory"))
