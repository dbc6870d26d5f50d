"""What it costs to load the code location and the command line, against their libraries alone."""

import subprocess
import sys

ROUNDS = 5


def seconds(code: str) -> float:
    """The best of some runs of a fresh interpreter, seconds."""
    timed = f"import time; b = time.perf_counter(); {code}; print(time.perf_counter() - b)"
    return min(
        float(subprocess.check_output([sys.executable, "-c", timed], text=True).split()[-1])
        for _ in range(ROUNDS)
    )


def main() -> None:
    """Print the table."""
    dagster = seconds("import dagster")
    ours = seconds("import pettwin_pipeline.definitions")
    cli = seconds("import pettwin_pipeline.cli")
    print(f"import dagster                       {dagster:.2f} s   1.00")
    print(
        f"import pettwin_pipeline.definitions  {ours:.2f} s   {ours / dagster:.2f} "
        f"(+{ours - dagster:.2f} s; goal at most +0.30 s)"
    )
    print(f"import pettwin_pipeline.cli          {cli:.2f} s   {cli / dagster:.2f}")


if __name__ == "__main__":
    main()
