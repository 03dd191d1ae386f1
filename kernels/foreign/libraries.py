"""Operator libraries of other packages: registered with torch by themselves, as importing the packages pulls in far more than their kernels."""

import ctypes
import glob
import importlib
import os
from collections.abc import Sequence

import torch

from .packages import Found


def register(found: Found, patterns: Sequence[str], operators: Sequence[str], module: str | None, any_of: bool = False) -> None:
    """Make operators ("namespace::name") callable: from the package's bare libraries, else by importing one of its modules.

    patterns: of the libraries' paths below the package's folder, each tried. module: None where no import is to be tried.
    any_of: whether one of the operators is enough, which versions of the package name differently. Raises ImportError where they do not appear.
    """
    problems = []
    for path in _paths(found.folder, patterns):
        if _are_there(operators, any_of):
            return
        try:
            _preload_nvrtc()
            torch.ops.load_library(path)
        except OSError as problem:
            problems.append(f"{os.path.basename(path)}: {_reason(path, problem)}")
    if _are_there(operators, any_of):
        return
    try:
        if module is not None:
            importlib.import_module(module)
    except Exception as problem:  # packages raise anything while they are imported
        problems.append(f"import {module}: {problem}")
    if not _are_there(operators, any_of):
        missing = (" or " if any_of else ", ").join(name for name in operators if not has_operator(name))
        raise ImportError(f"it has no operator {missing}{' (' + '; '.join(problems) + ')' if problems else ''}")


def has_operator(name: str) -> bool:
    """Whether torch knows an operator "namespace::name"."""
    return bool(torch._C._jit_get_schemas_for_operator(name))


def arguments_of(name: str) -> list[torch._C.Argument]:
    """An operator's parameters, with their types and defaults, by which its versions differ."""
    (schema,) = torch._C._jit_get_schemas_for_operator(name)
    return schema.arguments


def _paths(folder: str, patterns: Sequence[str]) -> list[str]:
    return [path for pattern in patterns for path in sorted(glob.glob(os.path.join(glob.escape(folder), pattern)))]


def _are_there(operators: Sequence[str], any_of: bool) -> bool:
    return (any if any_of else all)(map(has_operator, operators))


def _preload_nvrtc() -> None:
    """sgl-kernel's library expects NVRTC to be loaded; torch's own copy lies beside torch, where the loader doesn't look."""
    major = (torch.version.cuda or "").split(".")[0]
    site = os.path.dirname(os.path.dirname(torch.__file__))
    for path in glob.glob(os.path.join(glob.escape(site), "nvidia", "*", "lib", f"libnvrtc.so.{major}")):
        ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)


def _reason(path: str, problem: OSError) -> str:
    """torch says only that it could not load a library; the system's loader says why."""
    try:
        ctypes.CDLL(path)
    except OSError as why:
        return str(why).removeprefix(f"{path}: ")
    return str(problem)
