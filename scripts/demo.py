"""Set up ComfyUI and the pack, then show both at work: `python3 scripts/demo.py`.

Small Wan2.1 models (or real ones, by --dit and its like) are quantized as LightX2V does it and run in a real ComfyUI server, each scheme beside the
float model. Prints a table; results.json, latents.png and server.log go to the output folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from demo_options import parse
from environment import REPOSITORY, SetUpError, set_up, where_line


def main() -> int:
    options = parse(sys.argv[1:])
    try:
        environment = set_up(options)
    except SetUpError as error:
        print(error, file=sys.stderr)
        return 1
    if options.where:
        print(where_line(environment))
        return 0
    return become([str(environment.python), str(REPOSITORY / "scripts" / "demo_run.py"), str(environment.comfyui), *sys.argv[1:]])


def become(command: Sequence[str]) -> int:
    """Go on as another program, so that a signal meant for the demo reaches the process that owns the server."""
    if os.name != "nt":
        os.execv(command[0], command)
    process = subprocess.Popen(command)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # the console sends Ctrl-C to both; the other one stops its server and ends


if __name__ == "__main__":
    sys.exit(main())
