"""What a GPU machine without a registry needs for benchmarks/device.sh, in the folder .gpu, which fits into one call; git is to ignore it.

    python3 benchmarks/carry.py ../shared/gpu

The kernel packages for torch 2.11 (36 MB) and comfy-kitchen in the release that ComfyUI 0.30.0 pins (2 MB), their machine code cut down to sm_90; and
ComfyUI 0.30.0 with its packages (19 MB), but for PyAV, in whose place benchmarks/stubs stands. The folder named holds make_host_bundle.py and
make_kernel_bundle.py. What is there already is kept; .gpu-host, where ComfyUI is packed, need not come along.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

COMFY_KITCHEN = "0.2.26"
REPOSITORY = Path(__file__).resolve().parents[1]
LEFT_OUT = "av-"
"""Begins the name of the wheel that is too large: 35 MB."""

MOST_MB = 60
"""With the repository it has to stay under the 64 MiB of a call."""


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


def comfyui(packed: Path, target: Path) -> None:
    """Copy ComfyUI and the wheels that are carried from where make_host_bundle has packed them."""
    (target / "wheels").mkdir(exist_ok=True)
    for wheel in (packed / "wheels").glob("*.whl"):
        if not wheel.name.startswith(LEFT_OUT):
            shutil.copy2(wheel, target / "wheels")
    shutil.copy2(packed / "comfyui.tar.xz", target)


def main(bundlers: Path) -> None:
    sys.path.insert(0, str(bundlers))
    import make_host_bundle
    import make_kernel_bundle

    target, packed = REPOSITORY / ".gpu", REPOSITORY / ".gpu-host"
    target.mkdir(exist_ok=True)
    if not (target / "ck.tar.xz").exists():
        comfy_kitchen(make_kernel_bundle, target / "ck.tar.xz")
    if not (target / "kernels.tar.xz").exists():
        make_kernel_bundle.main(str(target / "kernels.tar.xz"))
    if not (target / "comfyui.tar.xz").exists():
        if not (packed / "comfyui.tar.xz").exists():
            make_host_bundle.main(str(packed))
        comfyui(packed, target)
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file()) / 1e6
    print(f"{target}: {size:.1f} MB")
    if size > MOST_MB:
        raise SystemExit(f"That is more than the {MOST_MB} MB that fit into one call.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
