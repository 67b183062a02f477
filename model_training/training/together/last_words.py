"""Say why a process of a training is gone, where it can no longer say so itself.

JAX ends a process in which it has lost rank 0 from within C++: no exception is raised, and nothing
that Python would do at its end is done.  (It takes a function to call instead, and fails to call
it: jaxlib 0.10.2 ends with `std::bad_cast` then.)  A process that is killed says nothing either.
"""

from __future__ import annotations

import atexit
import contextlib
import subprocess

# It waits for a line, and has the words where there is none: the pipe is closed by whatever end.
_WAIT = 'read -r _ || printf "%s\\n" "$0" >&2'

_waiting: list[subprocess.Popen[bytes]] = []


def leave_last_words(sentence: str) -> None:
    """Have `sentence` said on standard error if this process ends without taking it back.

    It is taken back where Python itself ends the process, which has then said all there is to say.
    """
    _waiting.append(
        # In a session of its own, since Ctrl-C is for the training alone.
        subprocess.Popen(
            ["sh", "-c", _WAIT, sentence], stdin=subprocess.PIPE, start_new_session=True
        )
    )
    atexit.register(take_back)


def take_back() -> None:
    """Leave unsaid what was to be said at the end of this process."""
    while _waiting:
        waits = _waiting.pop()
        with contextlib.suppress(OSError):
            waits.communicate(b"\n")
