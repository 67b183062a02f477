"""Schemathesis asks what `/openapi.json` describes: `make test-api`

It makes requests that fit the description, and ones that do not, and checks that the first are
taken, the second refused, and every answer what was described.  It lives in an environment of its
own; what no schema can say is in `tests/schemathesis_hooks.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import server

PROGRAM = server.PROJECT / ".venv-schemathesis" / "bin" / "st"
CONFIG = f"--config-file={server.PROJECT / 'tests' / 'schemathesis.toml'}"
OPTIONS = (
    "--phases=examples,coverage,fuzzing",
    "--suppress-health-check=all",
    "--max-examples=50",
    "--request-timeout=300",
    "--seed=1",
)


def main() -> None:
    """Start the site, and ask."""
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "tests.schemathesis_hooks",
        "PYTHONPATH": str(server.PROJECT),
    }
    with tempfile.TemporaryDirectory() as folder:
        with server.running(Path(folder) / "log") as address:
            command = [
                str(PROGRAM),
                CONFIG,
                "run",
                f"{address}/openapi.json",
                *OPTIONS,
                *sys.argv[1:],
            ]
            done = subprocess.run(command, env=environment, check=False)
    raise SystemExit(done.returncode)


if __name__ == "__main__":
    main()
