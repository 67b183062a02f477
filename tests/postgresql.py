"""A PostgreSQL of its own, from Debian's package, for the tests that need one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
INITDB = shutil.which("initdb") or next((str(p / "initdb") for p in PLACES), None)
PG_CTL = shutil.which("pg_ctl") or next((str(p / "pg_ctl") for p in PLACES), None)


@dataclass
class Cluster:
    """A server that listens on a Unix socket in `folder`, and on no port."""

    folder: Path

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder}"
        self._control("start", "-w", "-l", str(self.folder / "log"), "-o", options)

    def stop(self) -> None:
        """Stop the server, and throw out whoever is connected."""
        self._control("stop", "-w", "-m", "fast")

    def url(self, database: str = "postgres", role: str = "postgres") -> str:
        """Return the address of a database there, for a role that needs no password."""
        return f"postgresql://{role}@/{database}?host={self.folder}"

    def run(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the superuser."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def _control(self, *arguments: str) -> None:
        assert PG_CTL
        _as_nobody_special(PG_CTL, "-D", str(self.folder / "data"), *arguments)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Make a cluster, run it, and leave nothing of it."""
    assert INITDB
    # Not below pytest's folder: its path is too long for a socket, and only root may enter it.
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    made = Cluster(folder)
    try:
        _as_nobody_special(INITDB, "-D", str(folder / "data"), "-U", "postgres", "-A", "trust")
        made.start()
        yield made
    finally:
        with suppress(subprocess.CalledProcessError):
            made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _as_nobody_special(*command: str) -> None:
    # PostgreSQL refuses to be run by root.
    who = {"user": "postgres", "group": "postgres", "extra_groups": []}
    # Its output goes to a file: the server inherits it, and a pipe would be open until it ends.
    with tempfile.TemporaryFile() as output:
        try:
            subprocess.run(
                command,
                check=True,
                cwd="/",
                stdout=output,
                stderr=output,
                **(who if os.geteuid() == 0 else {}),  # type: ignore[call-overload]
            )
        except subprocess.CalledProcessError as error:
            output.seek(0)
            error.add_note(output.read().decode())
            raise
