"""`make bench` is too slow for every test run; that it can begin is not."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_every_benchmark_can_be_collected() -> None:
    command = [sys.executable, "-m", "pytest", "benchmarks", "--collect-only", "-q", "--benchmark-only"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    files = {path.name for path in (ROOT / "benchmarks").glob("test_*.py")}
    assert files <= {Path(line.split(":")[0]).name for line in done.stdout.splitlines()}
