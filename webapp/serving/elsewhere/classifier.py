"""A model whose network a model server runs."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

from model_training.bundles.bundle import MODEL, Bundle
from model_training.explaining.methods import METHODS
from model_training.explaining.target import Heat, NoExplanation
from webapp.errors import Refusal
from webapp.serving.classifier import Classifier, Pixels
from webapp.serving.elsewhere.backend import KnownProtocol, ServedBackend, seconds_for_one
from webapp.serving.elsewhere.endpoints import NotServed as NotServed
from webapp.serving.elsewhere.server import ModelServer
from webapp.serving.elsewhere.v1 import TensorFlowServing
from webapp.serving.elsewhere.v2 import OpenInference
from webapp.serving.memory import map_judge

NO_MAPS = (
    "Where it looked cannot be shown here: the network runs on a model server, which gives its "
    "answers and not what they follow from."
)
CHECKED_SECONDS = 1.0
_NAMED: dict[str, KnownProtocol] = {"v1": TensorFlowServing, "v2": OpenInference}


class ServedClassifier(Classifier):
    """A bundle's judge, and its network on a model server.  Nothing of TensorFlow is loaded.

    `milliseconds` is the time for one image there and back, or None if the server was not there
    when this was made: it is tried again whenever it is needed.

    Args:
        url: of the server; “{model}” in it stands for the bundle's name.  It may end in the name of
            a protocol, `/v1` or `/v2`; otherwise both are tried, V2 first.
        seconds: the most that one question may take.

    Raises:
        ClassifierError: the bundle has no judge.
        NotServed: the server has no such model, or another one.
    """

    def __init__(self, bundle: Bundle, url: str, seconds: float) -> None:
        self.judge = map_judge(self.judge_of(bundle))
        self.bundle = dataclasses.replace(bundle, judge=self.judge)
        base = url.replace("{model}", quote(bundle.name, safe="")).rstrip("/")
        host, _slash, last = base.rpartition("/")
        protocols = (_NAMED[last],) if last in _NAMED else tuple(reversed(_NAMED.values()))
        server = ModelServer(host if last in _NAMED else base, seconds)
        network = bundle.card.files[MODEL]
        self.backend = self.asked = self.served = ServedBackend(
            self.judge, bundle.name, network, server, protocols
        )
        self.milliseconds = None
        self._checked: tuple[float, str | None] = (-math.inf, None)
        try:
            self.milliseconds = 1000 * seconds_for_one(self.served, self.judge.plan.side)
        except NotServed:
            raise
        except Refusal:
            # It may be starting, too; what it says to visitors is in the log.
            return

    @property
    def no_maps(self) -> str:
        """Return why there are no maps."""
        return NO_MAPS

    def problem(self) -> str | None:
        """Return why it cannot answer just now, after asking the server; None if it can.

        What was found is true for a second: anybody may ask a site again and again.
        """
        checked, said = self._checked
        if time.monotonic() - checked < CHECKED_SECONDS:
            return said
        said = None
        try:
            self.served.check()
        except Refusal as error:
            said = error.message
        self._checked = (time.monotonic(), said)
        return said

    def explain(
        self, view: Pixels, label: str, method: str | None = None, against: str | None = None
    ) -> Heat:
        """Explain nothing: maps need what happens inside the network.

        Raises:
            NoExplanation: always, where the question makes sense.
            ValueError: there is no such method or class, or `against` is `label`.
        """
        if (method or self.quick_method) not in METHODS or against == label:
            raise ValueError("there is no such map")
        for name in (label, against):
            if name is not None:
                self.classes.index(name)
        raise NoExplanation(NO_MAPS)


def problems_of(classifiers: Iterable[Classifier]) -> dict[str, str]:
    """Return why those of `classifiers` that cannot answer just now cannot, by name.

    Those on a model server are all asked at the same time.
    """
    asked = [one for one in classifiers if isinstance(one, ServedClassifier)]
    if not asked:
        return {}
    with ThreadPoolExecutor(len(asked)) as threads:
        said = zip(asked, threads.map(ServedClassifier.problem, asked), strict=True)
        return {one.name: problem for one, problem in said if problem is not None}


def make_classifier(bundle: Bundle, url: str | None, seconds: float) -> Classifier:
    """Return the classifier of `bundle`: in this process, or with the model server at `url`.

    Raises:
        ClassifierError: it has no network or judge, or one that cannot be loaded here.
        NotServed: the model server has no such model, or another one.
    """
    return ServedClassifier(bundle, url, seconds) if url else Classifier(bundle)
