#!/usr/bin/env bash
# Run a command on a GPU machine without a registry, with the pack and all that came along importable: bash benchmarks/device.sh COMMAND...
#
# What benchmarks/carry.py made is too large for one call, so it comes in two, in either order; what a call has unpacked is there for the next, which
# must follow within 30 s or the machine is given back:
#   carry [".gpu"]       the kernel packages, enough for linear.py and exactness.py
#   carry [".gpu-host"]  ComfyUI and its packages, for the others
#
# The calls for the kernels' results, COMMIT being the one that is measured and REQUIRE the kernels without which a call ends at once:
#   fp8-vllm,int8-vllm,fp8-sgl,int8-sgl,int8-torchao,int4-g128-marlin=vLLM,fp8-b128-deepgemm,fp8-b128-torch=block-wise,fp8-torch=row-wise,
#   fp8-triton=TMA,int8-triton=TMA,int4-g128-triton,int4-g128-a8-triton,int8-kitchen
#   0. carry [".gpu"], 300 s: d="bash benchmarks/device.sh python3"; $d benchmarks/linear.py --small --require REQUIRE --out $OUT/small.json &&
#      $d benchmarks/exactness.py --require REQUIRE --commit COMMIT --seconds 240 --out $OUT/h200_exactness.json
#   1. carry [".gpu"], 600 s:
#      bash benchmarks/device.sh python3 benchmarks/linear.py --require REQUIRE --commit COMMIT --seconds 430 --out $OUT/h200_linear.json
#      (340 s of it were seen to be needed, 80 s for the checks; call 0 took 100 s behind it)
#   1b. carry [".gpu"], 300 s: COMFY_KITCHEN=0.2.40 bash benchmarks/device.sh python3 benchmarks/attention.py \
#      --require flash-attention-3=vLLM,sdpa-cudnn,sdpa-flash,sdpa-efficient,int8-kitchen --commit COMMIT --seconds 240 --out $OUT/h200_attention.json
#   2. carry [".gpu-host"], 600 s, within 30 s of the last, whose kernel packages it needs:
#      bash benchmarks/device.sh python3 benchmarks/dit_schemes.py --comfyui /tmp/ComfyUI --commit COMMIT --seconds 560 \
#          --out $OUT/h200_dit_schemes.json
#   3. carry [".gpu-host"], 600 s, once or twice, KERNELS=none where the host memory is to be without the kernel packages:
#      bash benchmarks/device.sh python3 benchmarks/offload.py --comfyui /tmp/ComfyUI --commit COMMIT --seconds 570 --out $OUT/h200_offload.json
#      and the same with --stress --out $OUT/h200_offload_stress.json; what is left out for want of time is listed, and --ways "A; B" runs it alone
# Then, here: the files into benchmarks/results, python3 benchmarks/plots.py, python3 benchmarks/tables.py.
#
# KERNELS=none leaves the kernel packages out: for the tests, whose every test with a fresh cache would check all of them again for over a minute, and
# for start.py, whose host memory they are not part of.
# COMFY_KITCHEN=0.2.40 takes the kernel packages' comfy-kitchen in place of the one that ComfyUI 0.30.0 pins. BENCHMARK_ROOT: where all is unpacked.
set -euo pipefail
root=${BENCHMARK_ROOT:-/tmp}

# unpacked FOLDER ARCHIVE: the archive in the folder, once, and whole or not at all
unpacked() {
    if [ ! -d "$1" ] && [ -f "$2" ]; then
        rm -rf "$1.part"
        mkdir -p "$1.part"
        tar xJf "$2" -C "$1.part"
        mv "$1.part" "$1"
    fi
}

# installed NAME VERSION: the record by which Python knows an installed distribution
installed() {
    mkdir -p "$site/$1-$2.dist-info"
    printf 'Metadata-Version: 2.1\nName: %s\nVersion: %s\n' "$1" "$2" >"$site/$1-$2.dist-info/METADATA"
}

mkdir -p "$root/k" "$root/pack"
ln -sfn "$PWD" "$root/pack/lightquant"

if [ ! -d "$root/site" ] && [ -d .gpu-host/wheels ]; then
    rm -rf "$root/site.part"
    python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$root/site.part" .gpu-host/wheels/*.whl
    mv "$root/site.part" "$root/site"
fi
unpacked "$root/comfyui" .gpu-host/comfyui.tar.xz
if [ -d "$root/comfyui" ]; then ln -sfn "$root/comfyui/ComfyUI" "$root/ComfyUI"; fi

unpacked "$root/k/kitchen" .gpu/ck.tar.xz
unpacked "$root/k/bundle" .gpu/kernels.tar.xz
site=$root/k/site bundle=$root/k/bundle
if [ ! -d "$site" ] && [ -d "$bundle" ]; then
    site=$root/k/site.part
    rm -rf "$site"
    mkdir -p "$site/vllm/vllm_flash_attn" "$site/sgl_kernel/sm90"
    ln -s "$bundle/vllm_ops/_C_stable_libtorch.abi3.so" "$site/vllm/"
    ln -s "$bundle/vllm_ops/_vllm_fa3_C.abi3.so" "$site/vllm/vllm_flash_attn/"
    ln -s "$bundle"/sgl_ops/common_ops*.so "$site/sgl_kernel/sm90/"
    ln -s "$bundle/deep_gemm_vllm/deep_gemm" "$bundle"/torchao/torchao* "$site/"
    installed vllm 0.26.0
    installed sglang_kernel 0.4.5
    installed deep_gemm "$(sed -n "s/^__version__ = '\(.*\)'/\1/p" "$site/deep_gemm/__init__.py")"
    mv "$site" "$root/k/site"
    site=$root/k/site
fi

kitchen=$root/k/kitchen/ck
if [ -n "${COMFY_KITCHEN:-}" ]; then kitchen=$bundle/ck; fi
if [ -n "${COMFY_KITCHEN:-}" ] && [ ! -d "$bundle/ck/comfy_kitchen-$COMFY_KITCHEN.dist-info" ]; then
    echo "no comfy-kitchen $COMFY_KITCHEN came along" >&2
    exit 1
fi
if [ "${KERNELS:-}" = none ]; then site=; fi
export PYTHONPATH=${site:+$site:}$kitchen:$root/site:$root/pack COMFYUI_PATH=$root/ComfyUI
exec "$@"
