"""The place of the library of now, which another takes in one step when something has changed.

A request takes the library once (`get_library`) and keeps what it took to its end, so it never sees
two versions, and a network that has been replaced lives until the last request that asked it.
"""

from __future__ import annotations

import atexit
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from flask import Flask, current_app, g

from webapp.library.content import Library
from webapp.library.inventory import Inventory
from webapp.library.reloading import answer, number_of, request_files, turn
from webapp.operating.metrics import count_reload, show_models
from webapp.serving.memory import give_back, trim
from webapp.serving.runtime import prepare

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_TO_END = 20.0
SECONDS_BETWEEN_TRIMS = 10.0
"""In which memory that requests took and need no more may stay a worker's."""


@dataclass(frozen=True)
class Taken:
    """The result of a reload: the models that were loaded or removed, what is wrong with each that
    could not be loaded, and the seconds it took.
    """

    loaded: list[str]
    gone: list[str]
    failed: dict[str, str]
    seconds: float


class Shelf:
    """The place of one app's library, which is read when it is first wanted."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._inventory = Inventory(app)
        self._lock = threading.Lock()
        self._library: Library | None = None
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def library(self) -> Library:
        """Return the library of now; the first call reads and loads everything."""
        if self._library is None:
            with self._lock:
                if self._library is None:
                    begun = time.perf_counter()
                    for name in self._inventory.look():
                        self._inventory.load(name)
                    self._say_all(self._put(), begun)
        assert self._library is not None
        return self._library

    def open(self) -> None:
        """Read everything and load the default model; then, in a thread, load the others, and take
        up what changes whenever that is asked.

        Raises:
            SettingError: `MODELS` names a model that is not there, or `MODELS_PUBLIC_KEY` is none.
        """
        begun = time.perf_counter()
        # A request that is there already is fulfilled by what is read now.
        seen = {path: number_of(path) for path in request_files(Path(self._app.instance_path))}
        with self._lock:
            self._inventory.check_key()
            with ThreadPoolExecutor(1) as beside:
                # TensorFlow takes half of a start, and reading is mostly done outside of Python.
                looking = beside.submit(self._inventory.look)
                if self._inventory.has_networks():
                    prepare()
                waiting = looking.result()
            self._inventory.check_names()
            while waiting and not self._inventory.load(waiting.pop(0)):
                pass
            self._say_default(self._put(), begun)
        self._thread = threading.Thread(
            target=self._keep, args=(waiting, begun, seen), name="models", daemon=True
        )
        self._thread.start()
        # A process that ends while a network is being loaded would crash.
        atexit.register(self.close)

    def close(self) -> None:
        """Stop loading models; return once the one being loaded is done."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(SECONDS_TO_END)

    def take_up(self) -> Taken:
        """Load what has changed beside what is being served, then swap each model in."""
        begun = time.perf_counter()
        with self._lock:
            before = self._library.states if self._library else {}
            names = self._inventory.look()
            self._put()
            loaded = []
            for name in names:
                if self._inventory.load(name):
                    self._inventory.warm_maps(name)
                    loaded.append(name)
                self._put()
            now, problems = self._put(), self._inventory.problems
        give_back()
        taken = Taken(
            loaded, sorted(set(before) - set(now.states)), problems, time.perf_counter() - begun
        )
        count_reload("failed" if problems else "done")
        self._app.logger.info(
            "models taken up in %.1f s: %d loaded, %d gone, %d that cannot be used",
            taken.seconds,
            len(taken.loaded),
            len(taken.gone),
            len(taken.failed),
        )
        return taken

    def _keep(self, waiting: list[str], begun: float, seen: dict[Path, str | None]) -> None:
        with self._lock:
            # The default's come first: most visitors wait for its answer.
            if (default := self.library.default_model) is not None:
                self._inventory.warm_maps(default)
            for name in waiting:
                if self._ending.is_set():
                    return
                self._inventory.load(name)
                self._put()
            self._say_all(self._put(), begun)
            for name in waiting:
                if self._ending.is_set():
                    return
                self._inventory.warm_maps(name)
        give_back()
        trimmed = time.monotonic()
        while not self._ending.wait(SECONDS_BETWEEN_LOOKS):
            if time.monotonic() - trimmed > SECONDS_BETWEEN_TRIMS:
                trim()
                trimmed = time.monotonic()
            for path in seen:
                number = number_of(path)
                if number is not None and number != seen[path]:
                    seen[path] = number
                    self._fulfil(path, number)

    def _fulfil(self, path: Path, number: str) -> None:
        begun = time.perf_counter()
        answer(path, number, state="begun")
        try:
            with turn(path):
                taken = self.take_up()
        except Exception as error:  # Whatever goes wrong, what was there goes on answering.
            self._app.logger.error("the models cannot be taken up", exc_info=error)
            count_reload("failed")
            problem = f"{type(error).__name__}: {error}"[:500]
            failed = Taken([], [], {"all of them": problem}, time.perf_counter() - begun)
            answer(path, number, state="done", **vars(failed))
        else:
            answer(path, number, state="done", **vars(taken))

    def _put(self) -> Library:
        self._library = self._inventory.library()
        show_models(
            {
                name: "outdated" if one.state == "loaded" and one.problem else one.state
                for name, one in self._library.states.items()
            }
        )
        return self._library

    def _say_all(self, library: Library, begun: float) -> None:
        self._app.logger.info(
            "%d of %d models can answer, after %.1f s",
            len(library.classifiers),
            len(library.results),
            time.perf_counter() - begun,
        )
        self._say_default(library, begun)

    def _say_default(self, library: Library, begun: float) -> None:
        wanted, default = self._app.config["DEFAULT_MODEL"], library.default_model
        if default is None:
            self._app.logger.error("no model can answer: run `flask train custom-cnn`")
        elif default != wanted:
            self._app.logger.warning(
                "the default model %s is not there: %s answers", wanted, default
            )
        elif library.loading:
            seconds = time.perf_counter() - begun
            self._app.logger.info("%s answers, after %.1f s; others load", default, seconds)


def init_app(app: Flask) -> None:
    """Give `app` an empty shelf, to be filled by `open_library` or by the first request."""
    app.extensions["library"] = Shelf(app)


def open_library(app: Flask) -> None:
    """Fill the shelf of `app`, which serves from now on: see `Shelf.open`."""
    shelf: Shelf = app.extensions["library"]
    shelf.open()


def load_library(app: Flask) -> Library:
    """Return the library of `app`; the first call reads and loads everything, in seconds."""
    shelf: Shelf = app.extensions["library"]
    return shelf.library


def get_library() -> Library:
    """Return the library that the request being answered began with."""
    if "library" not in g:
        g.library = load_library(current_app._get_current_object())  # type: ignore[attr-defined]
    found: Library = g.library
    return found
