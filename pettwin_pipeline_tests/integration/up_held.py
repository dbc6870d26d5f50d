"""`pettwin` as it is, but that `pettwin up` loads `held_definitions`: runs that can be held."""

import functools
import sys

from pettwin_pipeline import cli
from pettwin_pipeline.commands import up
from pettwin_pipeline.stack.dagster_parts import write_dagster_home

HELD = "pettwin_pipeline_tests.integration.held_definitions"

if __name__ == "__main__":
    written = functools.partial(write_dagster_home, module=HELD)
    up.write_dagster_home = written  # type: ignore[attr-defined]
    sys.exit(cli.run(sys.argv[1:]))
