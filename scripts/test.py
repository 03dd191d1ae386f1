"""Set up ComfyUI and the pack, then run the tests: `python3 scripts/test.py [options] [pytest's own arguments]`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from environment import REPOSITORY, SetUpError, add_arguments, install_missing, set_up, where_line

REQUIREMENTS = REPOSITORY / "scripts" / "requirements-test.txt"


def pytest_arguments(given: list[str]) -> list[str]:
    """What pytest gets: tests that need a GPU are left out unless the user picks markers."""
    picked = any(argument.startswith("-m") for argument in given)
    return given if picked else ["-m", "not gpu", *given]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, epilog="Any other argument goes to pytest.", allow_abbrev=False)
    add_arguments(parser)
    options, rest = parser.parse_known_args()
    try:
        environment = set_up(options)
        install_missing(environment, REQUIREMENTS)
    except SetUpError as error:
        print(error, file=sys.stderr)
        return 1
    if options.where:
        print(where_line(environment))
        return 0
    command = [environment.python, "-m", "pytest", *pytest_arguments(rest)]
    return subprocess.run(command, cwd=REPOSITORY, env={**os.environ, "COMFYUI_PATH": str(environment.comfyui)}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
