"""What was found in the folders of bundles and data sets, and what has changed there since.

A bundle counts as changed when the digest of its card has.  The one that is held goes on answering
until the network of the new one is loaded and warm, and stays where that fails.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flask import Flask

from model_training.bundles.bundle import MODEL, Bundle, BundleError
from model_training.bundles.reading import read_changed
from model_training.bundles.signing import SigningError, Verifier
from webapp.data_sets import ServedDataSet, known_by_results, read_data_sets
from webapp.library.content import Library, ModelState, Result, in_order
from webapp.serving.classifier import Classifier, ClassifierError
from webapp.serving.elsewhere.classifier import NotServed, make_classifier
from webapp.settings import SettingError

Stamps = frozenset[tuple[str, int, int]]


@dataclass(frozen=True)
class Holding:
    """A bundle as it is held: the digest of its card, its figures and its network, if loaded."""

    digest: str
    result: Result
    classifier: Classifier | None = None
    seconds: float | None = None


class Inventory:
    """The bundles and data sets of `app`.  Not for several threads at a time."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._held: dict[str, Holding] = {}
        self._pending: dict[str, tuple[str, Bundle]] = {}
        self._left_out: dict[str, str] = {}
        self._not_taken_up: dict[str, str] = {}
        self._data_sets: list[ServedDataSet] = []
        self._data_problems: dict[str, str] = {}
        self._stamps: Stamps | None = None
        self._default: str | None = None
        self._verifier: Verifier | None = None

    def has_networks(self) -> bool:
        """Return whether there is a network to be loaded here, without reading any."""
        if self._app.config["MODEL_SERVER_URL"]:
            return False
        folder: Path = self._app.config["MODELS_FOLDER"]
        return any(self._is_chosen(path.parent.name) for path in folder.glob(f"*/{MODEL}"))

    def look(self) -> list[str]:
        """Read what is new or has changed, and forget what has gone.

        Returns:
            The names of the models whose networks `load` is to load, the default model first.
        """
        self._look_at_data_sets()
        found = read_changed(
            self._app.config["MODELS_FOLDER"],
            {name: one.digest for name, one in self._held.items()},
            self._check_signature if self._app.config["MODELS_PUBLIC_KEY"] else None,
        )
        for name in set(self._held) - set(found.digests):
            del self._held[name]
            self._app.logger.info("model %s is gone", name)
        self._pending, self._left_out, self._not_taken_up = {}, {}, {}
        for name, problem in found.bad.items():
            self._fail(name, problem)
        for bundle in found.good:
            self._sort_in(bundle, found.digests[bundle.name])
        wanted = self._app.config["DEFAULT_MODEL"]
        return sorted(self._pending, key=lambda name: (name != wanted, name))

    def load(self, name: str) -> bool:
        """Load and warm the network `name`, one that `look` returned; then it takes its place.

        Returns:
            Whether that worked.
        """
        digest, bundle = self._pending.pop(name)
        started = time.perf_counter()
        try:
            classifier = make_classifier(
                bundle,
                self._app.config["MODEL_SERVER_URL"],
                self._app.config["MODEL_SERVER_SECONDS"],
            )
            if self._app.config["MODELS_PUBLIC_KEY"]:
                # Others may have been loaded since it was read, and its file is opened only now.
                self._check_signature(bundle.path)
        except NotServed as error:
            self._app.logger.warning(
                "model %s is a report only: the model server %s", name, error.why
            )
            # Without a digest it is read again the next time: the server may have it then.
            self._held[name] = Holding("", Result(dataclasses.replace(bundle, judge=None)))
            return False
        except Exception as error:  # One that cannot be used must not keep the others from it.
            self._app.logger.error("model %s cannot be loaded", name, exc_info=error)
            known = isinstance(error, (ClassifierError, BundleError))
            self._fail(name, str(error) if known else "it cannot be loaded (the log says why)")
            return False
        seconds = time.perf_counter() - started
        self._held[name] = Holding(digest, Result(classifier.bundle), classifier, seconds)
        self._app.logger.info("model %s loaded in %.1f s", name, seconds)
        return True

    def warm_maps(self, name: str) -> None:
        """Make the model `name` quick to explain, if it is loaded."""
        held = self._held.get(name)
        if held is None or held.classifier is None:
            return
        try:
            held.classifier.warm_maps()
        except Exception as error:  # It answers all the same; whoever wants a map is told.
            self._app.logger.error("model %s cannot be explained", name, exc_info=error)

    def library(self) -> Library:
        """Return all that there is now."""
        classifiers = {
            name: one.classifier for name, one in sorted(self._held.items()) if one.classifier
        }
        self._default = self._choose_default(classifiers)
        results = {name: one.result for name, one in sorted(self._held.items())}
        served = self._served(one.bundle for one in results.values())
        return Library(
            results=results,
            classifiers=classifiers,
            problems=dict(sorted(self._left_out.items())),
            default_model=self._default,
            data_sets=in_order(served, results, self._default),
            data_problems=self._data_problems,
            states={name: self._state(name) for name in sorted({*self._held, *self._left_out})},
        )

    def check_names(self) -> None:
        """Raise an error if `MODELS` names a model that is not there.

        Raises:
            SettingError: it does; the message says which there are.
        """
        folder: Path = self._app.config["MODELS_FOLDER"]
        there = sorted({*self._held, *self._pending, *self._left_out})
        for name in self._app.config["MODELS"] or ():
            if name not in there:
                raise SettingError(
                    f"MODELS: there is no model called {name!r} in {folder}. Available: "
                    f"{', '.join(there) or 'none'}."
                )

    def check_key(self) -> None:
        """Raise an error if bundles must be signed, and nothing can be verified.

        Raises:
            SettingError: so it is; the message says why.
        """
        public_key = self._app.config["MODELS_PUBLIC_KEY"]
        if public_key is not None and self._verifier is None:
            try:
                self._verifier = Verifier(public_key)
            except SigningError as error:
                raise SettingError(f"MODELS_PUBLIC_KEY cannot be used: {error}.") from error

    @property
    def problems(self) -> dict[str, str]:
        """Return what is wrong with each bundle that was not taken up, by its name."""
        return self._left_out | self._not_taken_up

    def _check_signature(self, path: Path) -> None:
        try:
            self.check_key()
        except SettingError as error:
            raise BundleError(str(error).rstrip(".")) from error
        assert self._verifier is not None
        self._verifier.check(path)

    def _is_chosen(self, name: str) -> bool:
        chosen = self._app.config["MODELS"]
        return chosen is None or name in chosen

    def _look_at_data_sets(self) -> None:
        folder: Path = self._app.config["DATA_FOLDER"]
        stamps = _stamps(folder)
        if stamps != self._stamps:
            self._data_sets, self._data_problems = read_data_sets(folder, self._app.logger)
            self._stamps = stamps

    def _sort_in(self, bundle: Bundle, digest: str) -> None:
        name = bundle.name
        held = (one.result.bundle for one in self._held.values())
        data_set = next(
            one
            for one in self._served((bundle, *held))
            if one.digest == bundle.card.training.data_digest
        )
        if tuple(bundle.card.classes) != data_set.classes:
            self._fail(name, f"its classes are not those of its data set, {data_set.title}")
            return
        if bundle.model_path is not None and self._is_chosen(name):
            self._pending[name] = (digest, bundle)
        if name not in self._held or name not in self._pending:
            # Only networks need a judge; without one a report takes a tenth of the memory.
            report = dataclasses.replace(bundle, judge=None)
            self._held[name] = Holding(digest if name not in self._pending else "", Result(report))

    def _fail(self, name: str, problem: str) -> None:
        if name in self._held and self._held[name].digest:
            self._not_taken_up[name] = problem
            self._app.logger.error("model %s: the one before it stays: %s", name, problem)
        else:
            self._held.pop(name, None)
            self._left_out[name] = problem
            self._app.logger.error("model %s is left out: %s", name, problem)

    def _served(self, bundles: Iterable[Bundle]) -> list[ServedDataSet]:
        cards = [bundle.card for bundle in bundles]
        return self._data_sets + known_by_results(cards, self._data_sets)

    def _state(self, name: str) -> ModelState:
        if name in self._left_out:
            return ModelState("failed", problem=self._left_out[name])
        held, problem = self._held[name], self._not_taken_up.get(name)
        if held.classifier is not None:
            return ModelState("loaded", held.seconds, problem)
        return ModelState("loading" if name in self._pending else "report only", problem=problem)

    def _choose_default(self, classifiers: dict[str, Classifier]) -> str | None:
        wanted = self._app.config["DEFAULT_MODEL"]
        if wanted in classifiers:
            return str(wanted)
        # Once another has taken its place, that one keeps it while more are being loaded.
        return self._default if self._default in classifiers else next(iter(classifiers), None)


def _stamps(folder: Path) -> Stamps:
    """Return what changes when a file of a data set does."""
    found = set[tuple[str, int, int]]()
    for path in folder.glob("*/**/*"):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        with suppress(OSError):  # a link to nowhere, or gone since it was listed
            stat = path.stat()
            found.add((str(path), stat.st_mtime_ns, stat.st_size))
    return frozenset(found)
