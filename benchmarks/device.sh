#!/usr/bin/env bash
# Run a command on a GPU machine without a registry, with the pack and all that came along importable: bash benchmarks/device.sh COMMAND...
#
# Every call carries [".gpu"], which benchmarks/carry.py made; what a call has unpacked is there for the next, which must follow within 30 s or the
# machine is given back. Results are written after each thing measured, and --seconds ends a script in time; what is left out then is listed.
#
# The calls for a whole set of results take 30 minutes of device time, one sent at once behind the other; each begins with
#   export PYTHONUNBUFFERED=1; d="bash benchmarks/device.sh python3"; c="--commit COMMIT"; f="$c --comfyui /tmp/ComfyUI"; w="$f --attention auto"
# COMMIT being the one that is measured:
#   1. 590 s. What needs no kernel packages, and offloading, in the order of WAYS where the time is short; kernels are checked on the way, in 90 s:
#      $d benchmarks/convert.py $c --folder /tmp/convert --device cuda --formats int8-channel --out $OUT/h200_convert.json;
#      KERNELS=none $d benchmarks/start.py $f --seconds 185 --variants core-int8 lightquant-int8-torch --out $OUT/h200_start_int8.json;
#      $d benchmarks/offload.py $w --steps 3 --seconds 300 --out $OUT/h200_offload.json --ways "fp8 resident; fp8 phases, from disk, chunks; WAYS"
#   2. 600 s. Every scheme that runs, in the order of worth, SCHEMES being the rest of them, with commas:
#      $d benchmarks/dit_schemes.py $w --seconds 590 --out $OUT/h200_dit_schemes.json --profile bf16,core-fp8,fp8-torch+fuse \
#          --schemes core-fp8,fp8-torch+fuse,fp8-torch,core-int8,int8-vllm+fuse,int8-vllm,int4-g128-marlin,fp8-b128-deepgemm,SCHEMES
#   3. 590 s. LoRA, 1280x720, attention, the fused steps, and encoders with what is left:
#      $d benchmarks/lora.py $w --ways "without; beside; comfyui's bypass; baked" --seconds 140 --out $OUT/h200_lora.json;
#      $d benchmarks/dit_schemes.py $w --latent 21 90 160 --steps 3 --seconds 210 --schemes fp8-torch+fuse \
#          --out $OUT/h200_dit_schemes_720p.json;
#      COMFY_KITCHEN=0.2.40 $d benchmarks/attention.py $c --seconds 80 --out $OUT/h200_attention.json \
#          --require flash-attention-3=vLLM,sdpa-cudnn,sdpa-flash,sdpa-efficient,int8-kitchen;
#      $d benchmarks/fused.py $c --out $OUT/h200_fused.json; $d benchmarks/encoders.py $f --seconds 110 --out $OUT/h200_encoders.json
# Whether all of it works, in 160 s: $d benchmarks/dit_schemes.py $w --blocks 2 --latent 5 16 16 --schemes fp8-torch+fuse --out $OUT/small.json
# Others, each a call of 100 to 600 s: $d benchmarks/linear.py $c --seconds 430; $d benchmarks/exactness.py $c --seconds 240;
#   $d benchmarks/offload.py $w --stress --seconds 250 --ways "fp8 blocks, pinned";
#   $d benchmarks/dit_schemes.py $w --blocks 8 --schemes bf16+compile,fp8-torch,fp8-torch+compile; KERNELS=none $d -m pytest -q -m gpu tests/kernels
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

if [ ! -d "$root/site" ] && [ -d .gpu/wheels ]; then
    rm -rf "$root/site.part"
    python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$root/site.part" .gpu/wheels/*.whl
    mv "$root/site.part" "$root/site"
fi
unpacked "$root/comfyui" .gpu/comfyui.tar.xz
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
export PYTHONPATH=${site:+$site:}$kitchen:$root/site:$root/pack:$PWD/benchmarks/stubs COMFYUI_PATH=$root/ComfyUI
exec "$@"
