"""Loading TensorFlow without its chatter, so that a command's own lines are the only ones."""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from types import ModuleType

# Its C++ logs: a severity, then month and day; what comes before its logging is set up; and the
# second line of what it says about the processor.
_CHATTER = re.compile(
    rb"[IWE]\d{4} \d\d:\d\d:|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] "
    rb"|WARNING: All log messages before absl::InitializeLog|To enable the following instructions"
)


def silence_tensorflow() -> None:
    """Let TensorFlow, whenever it is imported in this process, keep its log lines to itself.

    `TF_CPP_MIN_LOG_LEVEL` in the environment has the last word: with anything below 3 nothing is
    silenced.  What TensorFlow raises is raised as ever, and an import that fails shows all that it
    wrote.
    """
    # 3 leaves out errors too: without a graphics card TensorFlow calls that an error at each start.
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") != "3" or "tensorflow" in sys.modules:
        return
    if not any(isinstance(finder, _QuietFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _QuietFinder())


class _QuietFinder(importlib.abc.MetaPathFinder):
    """Finds TensorFlow as ever, once, and has it loaded quietly.

    Keras imports it in places of its own, so there is no import of ours to be quiet about.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_quietly(module: ModuleType) -> None:
                with without_chatter():
                    execute(module)

            spec.loader.exec_module = execute_quietly  # type: ignore[method-assign]
        return spec


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """Keep TensorFlow's log lines from standard error for a while.

    Some are written by C++ before any setting of its logging is read, so the file itself is turned
    aside.  Every other line is written afterwards; all of them if an exception is raised.
    """
    try:
        sys.stderr.flush()
        real = os.dup(2)
    except (OSError, ValueError, AttributeError):  # Whoever runs us has closed it.
        yield
        return
    with tempfile.TemporaryFile() as aside:
        failed = True
        os.dup2(aside.fileno(), 2)
        try:
            yield
            failed = False
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.flush()
            os.dup2(real, 2)
            os.close(real)
            aside.seek(0)
            for line in aside:
                if failed or not _CHATTER.match(line):
                    _write(line)


def _write(line: bytes) -> None:
    with contextlib.suppress(OSError):
        os.write(2, line)
