"""What a GPU machine without a registry needs for benchmarks/device.sh: .gpu-host (ComfyUI 0.30.0, 54 MB) and .gpu/ck.tar.xz (comfy-kitchen).

    python3 benchmarks/carry.py ../shared/gpu

The folder named holds make_host_bundle.py and make_kernel_bundle.py. comfy-kitchen is the release that ComfyUI 0.30.0 pins, its machine code cut down
to sm_90 (2 MB), so that both fit into one call. Both folders are to be ignored by git.
"""

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

COMFY_KITCHEN = "0.2.26"
REPOSITORY = Path(__file__).resolve().parents[1]


def main(bundlers: Path) -> None:
    sys.path.insert(0, str(bundlers))
    import make_host_bundle
    import make_kernel_bundle

    make_host_bundle.main(str(REPOSITORY / ".gpu-host"))
    target = REPOSITORY / ".gpu" / "ck.tar.xz"
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        stage, wheels = Path(folder, "stage"), Path(folder, "wheels")
        stage.mkdir()
        wheels.mkdir()
        wheel = make_kernel_bundle.download("comfy-kitchen", COMFY_KITCHEN, wheels)
        make_kernel_bundle.extract(wheel, r"^comfy_kitchen(?!/backends/hip)|dist-info", stage / "ck")
        for library in stage.rglob("*.so"):
            subprocess.run(["strip", "--strip-unneeded", str(library)], check=True)
            make_kernel_bundle.prune(library)
        with tarfile.open(target, "w:xz") as archive:
            archive.add(stage, arcname=".")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
