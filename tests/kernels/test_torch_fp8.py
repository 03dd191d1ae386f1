"""torch's fp8 products, with a double of torch._scaled_mm: what is checked before they are taken."""

import pytest
import torch
from lightquant.kernels import torch_fp8
from lightquant.kernels.checks.numeric import OF_A_VIDEO, thorough_cases

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def scaled_mm(monkeypatch):
    """On the CPU as on Hopper. breaks: which accumulation raises. Gives the kinds of accumulation that were asked for."""
    asked = []

    def put(breaks: bool | None) -> list[bool]:
        def product(a, b, scale_a, scale_b, bias, out_dtype, use_fast_accum):
            asked.append(use_fast_accum)
            if use_fast_accum is breaks:
                raise RuntimeError("CUBLAS_STATUS_NOT_SUPPORTED")
            y = (a.float() @ b.float()) * scale_a * scale_b
            return (y if bias is None else y + bias.float()).to(out_dtype)

        monkeypatch.setattr(torch_fp8, "nvidia", lambda *_, **__: (True, "sm_90"))
        monkeypatch.setattr(torch, "_scaled_mm", product)
        return asked

    return put


def test_row_wise_products_are_checked_with_both_accumulations(scaled_mm):
    asked = scaled_mm(breaks=None)
    works, why = torch_fp8.RowWise().is_supported(CPU)
    assert works, why
    assert asked == [False, True]


@pytest.mark.parametrize("breaks", [False, True])
def test_one_that_fails_is_not_taken(scaled_mm, breaks):
    scaled_mm(breaks)
    works, why = torch_fp8.RowWise().is_supported(CPU)
    assert not works
    assert "CUBLAS_STATUS_NOT_SUPPORTED" in why


def test_what_is_checked_is_as_large_as_a_videos_products():
    rows, _, outputs = torch_fp8.LARGE
    assert rows * outputs >= torch_fp8.FAST_FROM
    rows, _, outputs, *_ = OF_A_VIDEO
    assert rows * outputs >= torch_fp8.FAST_FROM
    assert OF_A_VIDEO in thorough_cases(GPU)
    assert max(rows for rows, *_ in thorough_cases(CPU)) < 512, "a check on a CPU stays quick"
