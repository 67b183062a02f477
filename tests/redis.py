"""A Redis of its own, from Debian's package, for the tests that need one."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER = shutil.which("redis-server")


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run a Redis that listens on a Unix socket in `folder`, and on no port; gives its address.

    Args:
        folder: of a short path: that of a socket has at most 107 bytes.
    """
    assert SERVER
    socket = folder / "redis.sock"
    command = [SERVER, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", folder]
    server = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not socket.exists():
            assert server.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        yield f"redis+unix://{socket}"
    finally:
        server.terminate()
        server.wait(20)
