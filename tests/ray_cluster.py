"""A Ray cluster of two nodes on this machine, each with a loopback address of its own."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEAD, OTHER = "127.0.0.2", "127.0.0.3"


@dataclass
class Cluster:
    """A running cluster.

    Args:
        address: HOST:PORT of its head node.
        environment: what a process needs to join it.
        other: what runs the node that is not the head.
        folder: where its nodes keep their logs.
    """

    address: str
    environment: dict[str, str]
    other: subprocess.Popen[bytes]
    folder: Path

    def other_works(self) -> bool:
        """Return whether a worker of the node that is not the head has pictures in its hands.

        Ray calls a process after what it runs; one that loads its model, or waits, has another
        title.
        """
        for one in _descendants(self.other.pid):
            with contextlib.suppress(OSError):
                if b"(Worker)).submit" in Path(f"/proc/{one}/cmdline").read_bytes():
                    return True
        return False

    def kill_other(self) -> None:
        """Let the node that is not the head die at once, with all that runs on it."""
        _kill(self.other)


@contextlib.contextmanager
def two_nodes(log: Path) -> Iterator[Cluster]:
    """Run two nodes with one processor each; what they say goes to `log`."""
    with socket.create_server((HEAD, 0)) as free:
        address = f"{HEAD}:{free.getsockname()[1]}"
    environment = os.environ | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(16),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    with (
        # Sockets lie in it, whose paths must be short.
        tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder,
        log.open("wb") as file,
        contextlib.ExitStack() as nodes,
    ):

        def start(*options: str) -> subprocess.Popen[bytes]:
            node = subprocess.Popen(
                [
                    *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block"),
                    *("--num-cpus=1", "--object-store-memory=200000000", *options),
                ],
                env=environment,
                stdout=file,
                stderr=file,
            )
            nodes.callback(_kill, node)
            return node

        port = address.rpartition(":")[2]
        head = ("--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}")
        start(*head, f"--node-ip-address={HEAD}")
        _wait(address, 1, environment)
        other = start(f"--address={address}", f"--node-ip-address={OTHER}")
        _wait(address, 2, environment)
        yield Cluster(address, environment, other, Path(folder))


def _wait(address: str, nodes: int, environment: dict[str, str]) -> None:
    """Wait until a cluster has so many nodes."""
    asked = (
        "import ray, sys, time\n"
        f"ray.init({address!r}, log_to_driver=False)\n"
        f"while sum(node['Alive'] for node in ray.nodes()) < {nodes}: time.sleep(0.2)\n"
    )
    last = None
    for _ in range(10):
        last = subprocess.run(
            [sys.executable, "-c", asked], env=environment, capture_output=True, timeout=180
        )
        if last.returncode == 0:
            return
    assert last is not None
    raise AssertionError(f"no cluster of {nodes} nodes: {last.stderr.decode()[-2000:]}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that descend from it."""
    for one in [*_descendants(process.pid), process.pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    process.wait()


def _descendants(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                found += [*_descendants(int(folder.name)), int(folder.name)]
    return found
