"""`make bench`: every benchmark in turn. Each prints ratios to a peer measured in the same run."""

import subprocess
import sys
from pathlib import Path

BENCHMARKS = ("imports.py", "stream.py", "detection.py")


def main() -> None:
    """Run them; exit code 1 where one failed."""
    failed = []
    for name in BENCHMARKS:
        print(f"\n== {name}", flush=True)
        done = subprocess.run([sys.executable, str(Path(__file__).with_name(name))], check=False)
        failed += [name] if done.returncode else []
    print(f"\nbench: {'failed: ' + ', '.join(failed) if failed else 'done'}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
