"""The process that opens pictures for `decoders`: they come on its input.

Arguments: the seconds of a processor for one picture, and the bytes of address space.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys

from model_training.datasets.pictures.decoders import NICE, serve


def main() -> None:
    """Limit this process, and serve until its input ends."""
    seconds, memory = float(sys.argv[1]), int(sys.argv[2])
    # A server's Ctrl-C is for the server, which ends this process by closing its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICE)
    for limit, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        # macOS has no limit of address space.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(limit, (most, most))
    serve(sys.stdin.buffer, sys.stdout.buffer, seconds)


if __name__ == "__main__":
    main()
