"""Write the example workflows anew: `python3 scripts/make_workflows.py`. They are described in scripts/workflows/, and a test compares."""

from __future__ import annotations

import argparse
import sys

from demo import become
from environment import REPOSITORY, SetUpError, add_arguments, set_up, where_line


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    add_arguments(parser)
    options = parser.parse_args()
    try:
        environment = set_up(options)
    except SetUpError as error:
        print(error, file=sys.stderr)
        return 1
    if options.where:
        print(where_line(environment))
        return 0
    return become([str(environment.python), str(REPOSITORY / "scripts" / "workflows_run.py"), str(environment.comfyui)])


if __name__ == "__main__":
    sys.exit(main())
