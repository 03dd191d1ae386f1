"""Set up ComfyUI and the pack, then run the tests: `python3 scripts/test.py [options] [pytest's own arguments]`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from environment import REPOSITORY, SetUpError, add_arguments, install_missing, set_up, where_line

REQUIREMENTS = REPOSITORY / "scripts" / "requirements-test.txt"


MOST_PROCESSES = 4
"""Each holds 1.5 GB."""


def pytest_arguments(given: list[str]) -> list[str]:
    """What pytest gets: tests that need a GPU are left out unless the user picks markers, and a process a core shares the files of the others."""
    picked = any(argument.startswith("-m") for argument in given)
    shared = picked or any(argument.startswith(("-n", "--pdb", "--collect-only")) for argument in given)
    processes = ["-n", str(min(MOST_PROCESSES, os.cpu_count() or 1)), "--dist", "loadfile"]
    return [*([] if picked else ["-m", "not gpu"]), *([] if shared else processes), *given]


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
    # Threads of torch's that wait for each other spin, and several processes of them take ten times as long.
    variables = {"OMP_NUM_THREADS": "1", **os.environ, "COMFYUI_PATH": str(environment.comfyui)}
    return subprocess.run(command, cwd=REPOSITORY, env=variables, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
