"""The pack as a whole: how it is imported, what it imports, how it is layered, how it reads."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
LAYERS = [
    "errors", "reading", "texts", "formats", "schemes", "kernels", "loaders", "convert", "reports", "bridge", "offload", "lora", "attention",
    "fusion", "routes", "nodes",
]  # fmt: skip
"""From the ground up. The command line stands beside the bridge: it knows no ComfyUI."""
COMFYUI = {"comfy", "comfy_api", "comfy_kitchen", "folder_paths", "nodes", "server", "execution"}
KERNEL_PACKAGES = {"vllm", "sgl_kernel", "torchao", "q8_kernels", "deep_gemm", "marlin", "triton"}


def run(code: str) -> str:
    """Run code in a fresh Python that has ComfyUI on its path; the last line it printed."""
    environment = {**os.environ, "PYTHONPATH": os.environ["COMFYUI_PATH"]}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=os.environ["COMFYUI_PATH"])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


AS_COMFYUI = """
import sys
sys.argv = ["main.py", "--cpu"]
import comfy.options
comfy.options.enable_args_parsing()
import asyncio, importlib.util, time
import nodes, comfy_api.latest
path = {path!r}
def load():
    name = path.replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, path + "/__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    extension = asyncio.run(module.comfy_entrypoint())
    return asyncio.run(extension.get_node_list())
"""


def test_it_starts_fast_and_imports_no_kernel_package():
    """In CPU time, which other processes on the cores add little to."""
    code = AS_COMFYUI.format(path=str(REPOSITORY)) + (
        f"before = set(sys.modules)\nstart = time.process_time()\n[node.GET_SCHEMA() for node in load()]\ntook = time.process_time() - start\n"
        f"print(round(took, 3), sorted({KERNEL_PACKAGES!r} & (set(sys.modules) - before)))"
    )
    fastest = float("inf")
    for _ in range(5):
        took, packages = run(code).split(" ", 1)
        assert packages == "[]"
        fastest = min(fastest, float(took))
        if fastest < 0.3:
            break
    assert fastest < 0.3


@pytest.mark.parametrize("first", ["comfyui", "package"])
def test_imported_both_ways_nothing_registers_twice(first):
    package = "import lightquant.bridge.layouts, lightquant.nodes.loaders\n"
    code = AS_COMFYUI.format(path=str(REPOSITORY))
    code += ("listed = load()\n" + package) if first == "comfyui" else (package + "listed = load()\n")
    code += (
        "from comfy_kitchen.tensor.base import LAYOUTS\n"
        "assert listed[0] is lightquant.nodes.loaders.LoadDiT\n"
        "assert issubclass(LAYOUTS['LightQuant:fp8-channel'], lightquant.bridge.layouts.FormatLayout)\n"
        "print(len([name for name in sys.modules if name.endswith('bridge.layouts') and 'quant' in name.lower()]))"
    )
    assert run(code) == "1"


def test_a_second_copy_elsewhere_is_an_error_that_names_both(tmp_path):
    copy = tmp_path / "other"
    copy.mkdir()
    (copy / "__init__.py").write_text((REPOSITORY / "__init__.py").read_text())
    code = "import lightquant\n" + AS_COMFYUI.format(path=str(copy)) + "try:\n    load()\nexcept ImportError as error:\n    print(error)"
    said = run(code)
    assert str(copy) in said
    assert "pip uninstall lightquant" in said


def product_files() -> list[Path]:
    return [path for layer in [*LAYERS, "cli"] for path in ([REPOSITORY / f"{layer}.py"] if (REPOSITORY / f"{layer}.py").exists() else
            sorted((REPOSITORY / layer).rglob("*.py")))]  # fmt: skip


def imports(path: Path):
    """(number of leading dots, module) of every import in a file, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield (node.level, node.module or "")
            if not node.module:
                yield from ((node.level, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)


@pytest.mark.parametrize("path", product_files(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_arrows_point_down_only(path):
    layer = path.relative_to(REPOSITORY).parts[0].removesuffix(".py")
    to_root = len(path.relative_to(REPOSITORY).parts)
    allowed = set(LAYERS[: LAYERS.index(layer) + 1]) if layer in LAYERS else {*LAYERS[: LAYERS.index("reports") + 1], "cli"}
    for level, module in imports(path):
        top = module.split(".")[0]
        if level == 0:
            if layer not in ("bridge", "nodes"):
                assert top not in COMFYUI, f"{path}: ComfyUI is known to the bridge and the nodes only"
            if layer == "nodes":
                assert top not in COMFYUI - {"comfy_api"}, f"{path}: nodes import comfy_api only"
                assert top != "torch", f"{path}: nodes hold no tensor code"
        elif level == to_root:
            assert top in allowed | {"", "__version__"}, f"{path} reaches up to {top}"


def test_only_the_jit_folder_imports_triton_and_nothing_another_kernel_package():
    for path in product_files():
        packages = KERNEL_PACKAGES & {module.split(".")[0] for level, module in imports(path) if level == 0}
        assert packages <= ({"triton"} if path.parent == REPOSITORY / "kernels" / "jit" else set()), path


def test_files_are_short_and_the_tree_is_clean():
    long = {str(path): count for path in product_files() if (count := len(path.read_text().splitlines())) > 300}
    assert not long
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "."], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_requirements_name_nothing():
    lines = [line for line in (REPOSITORY / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert lines == []
