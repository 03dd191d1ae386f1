"""What comes along to a GPU machine, and what stands in there for what does not."""

import os
import subprocess
import sys

import carry


def test_all_wheels_come_along_but_pyavs(tmp_path):
    packed, target = tmp_path / "packed", tmp_path / "target"
    (packed / "wheels").mkdir(parents=True)
    target.mkdir()
    for name in ("av-19.0.2-cp312-abi3-manylinux_2_28_x86_64.whl", "torchsde-0.2.6-py3-none-any.whl"):
        (packed / "wheels" / name).write_bytes(b"wheel")
    (packed / "comfyui.tar.xz").write_bytes(b"ComfyUI")
    carry.comfyui(packed, target)
    assert [wheel.name for wheel in (target / "wheels").iterdir()] == ["torchsde-0.2.6-py3-none-any.whl"]
    assert (target / "comfyui.tar.xz").read_bytes() == b"ComfyUI"


def test_the_stub_is_enough_to_import_comfyuis_nodes():
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from comfy.cli_args import args; args.cpu = True; import av, nodes, comfy_api.latest; "
        "import comfy_extras.nodes_torch_compile, lightquant.nodes; assert 'stubs' in av.__file__"
    )
    environment = {**os.environ, "PYTHONPATH": str(carry.REPOSITORY / "benchmarks" / "stubs")}
    folder = os.path.dirname(sys.modules["comfy"].__path__[0]) if "comfy" in sys.modules else os.environ["COMFYUI_PATH"]
    subprocess.run([sys.executable, "-c", script, folder], env=environment, cwd=folder, check=True)


def test_the_script_for_the_machine_is_shell():
    subprocess.run(["bash", "-n", str(carry.REPOSITORY / "benchmarks" / "device.sh")], check=True)
