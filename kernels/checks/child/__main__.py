"""The program that checks kernels in a process of its own, so that one that crashes takes nothing else with it.

    python kernels/checks/child DEVICE KERNEL...

A KERNEL is MODULE.Class, the module being one of the pack's `kernels`. For each, a line of JSON is written when it begins and one when it ends.

It is a folder of its own because Python puts the folder of what it runs in front of sys.path: beside the adapters, their torchao.py, vllm.py and
marlin.py would be found in place of the packages.
"""

import importlib
import importlib.util
import json
import sys
from pathlib import Path

PACK = Path(__file__).resolve().parents[3]


def main(device: str, kernels: list[str]) -> None:
    spec = importlib.util.spec_from_file_location("lightquant", PACK / "__init__.py", submodule_search_locations=[str(PACK)])
    sys.modules["lightquant"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["lightquant"])
    import torch

    for name in kernels:
        print(json.dumps({"kernel": name, "begins": True}), flush=True)
        module, _, kind = name.rpartition(".")
        finding = getattr(importlib.import_module(f"lightquant.kernels.{module}"), kind)().check(torch.device(device))
        print(json.dumps({"kernel": name, **finding._asdict()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
