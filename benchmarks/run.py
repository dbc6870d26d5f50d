"""`make bench`: every benchmark in turn. Each prints ratios to a peer measured in the same run."""

import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Run them; exit code 1 where one failed."""
    failed = []
    with tempfile.TemporaryDirectory() as kept:
        for name, *more in (
            ("imports.py",),
            ("planning.py",),
            ("stream.py",),
            ("scale.py",),
            ("detection.py",),
            ("backtest.py",),
            ("datadog_protocol.py",),
            ("latency.py", "--folder", kept),
            ("disk.py", kept),
        ):
            print(f"\n== {name}", flush=True)
            command = [sys.executable, str(Path(__file__).with_name(name)), *more]
            failed += [name] if subprocess.run(command, check=False).returncode else []
    print(f"\nbench: {'failed: ' + ', '.join(failed) if failed else 'done'}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
