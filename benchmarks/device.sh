#!/usr/bin/env bash
# Run a command on the GPU machine with ComfyUI and the pack importable: bash benchmarks/device.sh COMMAND...
# It expects what benchmarks/carry.py made to have come with the tree: .gpu-host (ComfyUI and its packages) and .gpu/ck.tar.xz (comfy-kitchen).
set -euo pipefail
if [ ! -d /tmp/site ]; then
    python3 -m pip install -q --no-index --no-deps --no-compile --target /tmp/site .gpu-host/wheels/*.whl 2>/dev/null
    tar xJf .gpu-host/comfyui.tar.xz -C /tmp
    mkdir -p /tmp/k && tar xJf .gpu/ck.tar.xz -C /tmp/k
fi
mkdir -p /tmp/pack && ln -sfn "$PWD" /tmp/pack/lightquant
export PYTHONPATH=/tmp/site:/tmp/k/ck:/tmp/pack COMFYUI_PATH=/tmp/ComfyUI
exec "$@"
