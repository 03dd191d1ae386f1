"""The program that checks kernels in a process of its own, so that one that crashes takes nothing else with it.

    python kernels/check DEVICE KERNEL...

A KERNEL is module.Class, the module being one of the pack's `kernels`. For each, a line of JSON is written when it begins and one when it ends.
"""

import importlib.util
import json
import sys
from pathlib import Path

PACK = Path(__file__).resolve().parents[2]


def main(device: str, kernels: list[str]) -> None:
    spec = importlib.util.spec_from_file_location("lightquant", PACK / "__init__.py", submodule_search_locations=[str(PACK)])
    sys.modules["lightquant"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["lightquant"])
    import torch
    from lightquant.kernels.probe import thorough_check

    for name in kernels:
        print(json.dumps({"kernel": name, "begins": True}), flush=True)
        module, kind = name.split(".")
        kernel = getattr(importlib.import_module(f"lightquant.kernels.{module}"), kind)()
        finding = thorough_check(kernel, torch.device(device), lambda kernel=kernel: kernel.load(kernel.found()))
        print(json.dumps({"kernel": name, **finding}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
