"""How TensorFlow is imported: without its chatter, and for training with its quicker kernels.

Neither can be changed afterwards, so it is settled before anything imports Keras.
"""

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

ONEDNN_SWITCH = "TF_ENABLE_ONEDNN_OPTS"
# Its C++ logs: a severity, then month and day; what comes before its logging is set up; and the
# second line of what it says about the processor.
_CHATTER = re.compile(
    rb"[IWE]\d{4} \d\d:\d\d:|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] "
    rb"|WARNING: All log messages before absl::InitializeLog|To enable the following instructions"
)


def compute_with_onednn() -> None:
    """Let TensorFlow, when it is imported in this process, compute with oneDNN.

    By itself TensorFlow does so only on processors with instructions for neural networks.  On two
    cores with AVX2 and no more, training steps of the recipes are 1.4 to 2.8 times as quick with it
    (`benchmarks/onednn.py`).  The answer for a single picture is slower, so the site is left as it
    is.  `TF_ENABLE_ONEDNN_OPTS` in the environment has the last word, and a TensorFlow that is
    loaded already stays as it is.
    """
    if "tensorflow" not in sys.modules:
        os.environ.setdefault(ONEDNN_SWITCH, "1")


def onednn_asked_for() -> bool:
    """Return whether the environment tells TensorFlow to compute with oneDNN."""
    return os.environ.get(ONEDNN_SWITCH) == "1"


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
