"""Stands in for PyAV (35 MB) on a machine where nothing is decoded: ComfyUI's API imports it for its video types.

Every module below it can be imported, and every name in them is an empty class.
"""

import importlib.abc
import importlib.machinery
import sys
import types


def __getattr__(name: str) -> type:
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (), {})


class _Parts(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules below this one."""

    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.startswith("av.") else None

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__getattr__ = __getattr__
        return module

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, _Parts())
