"""What a GPU machine without a registry needs for benchmarks/device.sh, in two folders that fit into one call each; git is to ignore both.

    python3 benchmarks/carry.py ../shared/gpu

.gpu-host: ComfyUI 0.30.0 and the packages it needs (54 MB). .gpu: the kernel packages for torch 2.11 (36 MB) and comfy-kitchen in the release that
ComfyUI 0.30.0 pins (2 MB), their machine code cut down to sm_90. The folder named holds make_host_bundle.py and make_kernel_bundle.py. What is there
already is kept.
"""

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

COMFY_KITCHEN = "0.2.26"
REPOSITORY = Path(__file__).resolve().parents[1]


def comfy_kitchen(bundle, target: Path) -> None:
    """Write comfy-kitchen to a .tar.xz; bundle: the module make_kernel_bundle."""
    with tempfile.TemporaryDirectory() as folder:
        stage, wheels = Path(folder, "stage"), Path(folder, "wheels")
        stage.mkdir()
        wheels.mkdir()
        wheel = bundle.download("comfy-kitchen", COMFY_KITCHEN, wheels)
        bundle.extract(wheel, r"^comfy_kitchen(?!/backends/hip)|dist-info", stage / "ck")
        for library in stage.rglob("*.so"):
            subprocess.run(["strip", "--strip-unneeded", str(library)], check=True)
            bundle.prune(library)
        with tarfile.open(target, "w:xz") as archive:
            archive.add(stage, arcname=".")


def main(bundlers: Path) -> None:
    sys.path.insert(0, str(bundlers))
    import make_host_bundle
    import make_kernel_bundle

    host, kernels, kitchen = REPOSITORY / ".gpu-host", REPOSITORY / ".gpu" / "kernels.tar.xz", REPOSITORY / ".gpu" / "ck.tar.xz"
    kernels.parent.mkdir(exist_ok=True)
    if not kitchen.exists():
        comfy_kitchen(make_kernel_bundle, kitchen)
    if not kernels.exists():
        make_kernel_bundle.main(str(kernels))
    if not (host / "comfyui.tar.xz").exists():
        make_host_bundle.main(str(host))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
