"""Options are read before anything is measured: a wrong name or no commit ends a script at once."""

import argparse
import subprocess
from types import SimpleNamespace

import arguments
import dit_schemes
import offload_variants
import pytest
import step_profile

import lora


@pytest.mark.parametrize("known", [lora.WAYS, offload_variants.WAYS], ids=["lora", "offload"])
def test_every_name_of_a_way_can_be_asked_for(known):
    assert arguments.names(known)("; ".join(known)) == list(known)


def test_an_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(argparse.ArgumentTypeError, match=r"unknown: besides; there are without; beside, of three"):
        arguments.names(("without", "beside, of three"))("without; besides")


@pytest.mark.parametrize("name", ["fp8-torhc", "fp8-torch+fused", "core-fp8+flash"])
def test_an_unknown_scheme_or_addition_is_refused(name):
    with pytest.raises(SystemExit, match="can not be measured"):
        dit_schemes.grouped(["fp8-torch", name])


def test_a_result_has_a_commit(monkeypatch):
    assert arguments.commit("0123456") == "0123456"
    with pytest.raises(argparse.ArgumentTypeError, match="is no commit"):
        arguments.commit("main")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=""))
    with pytest.raises(argparse.ArgumentTypeError, match="has to be given"):
        arguments.commit("")
    with pytest.raises(SystemExit):
        arguments.parser("a script").parse_args(["--out", "x"])


@pytest.mark.parametrize(
    ("kernel", "part"),
    [
        ("void cutlass::device_kernel<flash::enable_sm90_or_later<flash::FlashAttnFwdSm90<...", "attention"),
        ("cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_knob_6_128x128x128", "attention"),
        ("void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<128, 128, 64, 4>>", "attention"),
        ("nvjet_sm90_tst_128x256_64x4_2x1_v_bz_coopA_bias_TNN", "products"),
        ("sm90_xmma_gemm_e4m3bf16_e4m3f32_f32_tn_n_tilesize128x128x128", "products"),
        ("void cutlass::device_kernel<at::cuda::detail::enable_3x_kernel_for_sm9x<...", "products"),
        ("void deep_gemm::sm90_fp8_gemm_1d2d_impl<0u, 5120u>", "products"),
        ("void marlin::Marlin<1125899907892224l, 256, 4, 16>", "products"),
        ("multiply_by_descriptors", "products"),
        ("aten::_scaled_mm", "products"),
        ("_expand_marlin", "between"),
        ("_quantize_row", "between"),
        ("_norm_row", "between"),
        ("_rms_rope_row", "between"),
        ("triton_red_fused_addmm_native_layer_norm_3", "between"),
        ("void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<c10::BFloat16>>", "between"),
        ("void at::native::elementwise_kernel<128, 4, at::native::gpu_kernel_impl_nocast<at::native::addcmul_cuda_scalar_tensor2_kernel", "between"),
        ("Memcpy DtoD (Device -> Device)", "between"),
        ("Memcpy HtoD (Pinned -> Device)", "copies"),
    ],
)  # fmt: skip
def test_a_kernel_belongs_to_its_part(kernel, part):
    assert step_profile.part_of(kernel) == part


def test_a_profile_sums_what_it_lists_and_more():
    kernels = [{"kernel": str(number), "part": "between", "calls": 1, "ms": 1.0} for number in range(60)]
    found = step_profile.summary([*kernels, {"kernel": "gemm", "part": "products", "calls": 2, "ms": 500.0}])
    assert (found["between_s"], found["products_s"], found["attention_s"]) == (0.06, 0.5, 0.0)
    assert found["kernels"][0]["kernel"] == "gemm"
    assert len(found["kernels"]) == step_profile.SHOWN
