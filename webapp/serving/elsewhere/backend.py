"""The judge's backend where a model server has the network."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from model_training.judging.judge import Judge
from webapp.serving.elsewhere.circuit import Circuit, Open
from webapp.serving.elsewhere.endpoints import (
    FEATURES,
    IMAGE,
    PROBABILITIES,
    Endpoint,
    Floats,
    NotServed,
)
from webapp.serving.elsewhere.server import ModelServer, ModelServerDown
from webapp.serving.elsewhere.v1 import TensorFlowServing
from webapp.serving.elsewhere.v2 import ChangedVersion, OpenInference

CHECK_SECONDS = 2.0
NEAR = 1e-3
"""How far the network's probabilities may be from those of the judge's own head."""
KnownProtocol = type[OpenInference] | type[TensorFlowServing]
_PROTOCOLS: tuple[KnownProtocol, ...] = (OpenInference, TensorFlowServing)
_log = logging.getLogger("webapp")


class ServedBackend:
    """The features of the network `name` of `server`, once it is known to be the one of `judge`.

    The server is asked what it has when it is first needed, and again after it was away or has
    changed its network.

    Args:
        network: the SHA-256 of the bundle's network.
        protocols: those that are tried.
    """

    def __init__(
        self,
        judge: Judge,
        name: str,
        network: str,
        server: ModelServer,
        protocols: Sequence[KnownProtocol] = _PROTOCOLS,
        circuit: Circuit | None = None,
    ) -> None:
        self._judge, self._name, self._network = judge, name, network
        self._server, self._protocols = server, protocols
        self._circuit = circuit or Circuit()
        self._endpoint: Endpoint | None = None
        self._meeting = threading.Lock()
        self._missed = 0
        self._down = False

    @property
    def width(self) -> int:
        """Return the number of features."""
        return self._judge.width

    def features(self, pixels: NDArray[np.uint8]) -> Floats:
        """Return the features of `pixels`, uint8 RGB (count, side, side, 3): (count, width).

        Raises:
            ModelServerDown, ModelServerBusy: the server does not answer.
            NotServed: it has another network than the one that is wanted, or none.
        """
        with self._attempt():
            try:
                return self._ask(pixels)
            except ChangedVersion:
                self._endpoint = None
                return self._ask(pixels)

    def check(self) -> None:
        """Ask the server whether it can answer.

        Raises:
            ModelServerDown, ModelServerBusy, NotServed: as `features` does.
        """
        with self._attempt():
            if self._endpoint is None:
                self._meet()
            else:
                self._endpoint.check(CHECK_SECONDS)

    def _ask(self, pixels: NDArray[np.uint8]) -> Floats:
        endpoint = self._endpoint or self._meet()
        side = endpoint.interface.side
        if side not in (None, pixels.shape[1]):
            raise NotServed(
                f"takes squares of {side} pixels only, and this is one of {pixels.shape[1]}: serve "
                "an export that takes any size (“flask export --format saved_model”)"
            )
        features = endpoint.ask(pixels, [FEATURES])[FEATURES]
        if features.shape[1] != self.width:
            raise NotServed(f"gives {features.shape[1]} features, and the judge knows {self.width}")
        return features

    @contextmanager
    def _attempt(self) -> Iterator[None]:
        """Ask within the circuit; the log tells when it opens and when the server is back."""
        try:
            with self._circuit.attempt():
                try:
                    yield
                except NotServed:
                    self._endpoint = None
                    raise
                except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
                    _log.warning("model %s: the model server's answer", self._name, exc_info=error)
                    raise ModelServerDown("gives answers that cannot be read") from error
        except Open as left:
            down = ModelServerDown("did not answer when it was last asked")
            down.retry_after = math.ceil(left.seconds)
            raise down from None
        except ModelServerDown as error:
            if self._circuit.is_open:
                # Whatever comes back may be another network.
                self._endpoint = None
                if not self._down:
                    self._down = True
                    _log.error(
                        "model %s: the model server %s %s", self._name, self._server.url, error.why
                    )
            raise
        if self._down:
            self._down = False
            _log.info("model %s: the model server answers again", self._name)

    def _meet(self) -> Endpoint:
        """Find out how the server is asked for this network, and that it has this one."""
        missed = self._missed
        with self._meeting:
            if self._endpoint is not None:
                return self._endpoint
            if self._missed != missed:
                # Whoever had the lock has just waited in vain: not everybody has to.
                raise ModelServerDown("did not answer when it was last asked")
            try:
                endpoint = self._found()
                self._verify(endpoint)
            except ModelServerDown:
                self._missed += 1
                raise
            self._endpoint = endpoint
            return endpoint

    def _found(self) -> Endpoint:
        missing: NotServed | None = None
        for protocol in self._protocols:
            try:
                return protocol(self._server, self._name)
            except NotServed as error:
                missing = missing or error
        assert missing is not None
        raise missing

    def _verify(self, endpoint: Endpoint) -> None:
        """Make sure that the judge was made for the network that answers.

        One of our sites says which it has.  An export gives probabilities, too: they must be what
        the judge's own head makes of the features.

        Raises:
            NotServed: it was not.
        """
        interface = endpoint.interface
        other = NotServed(
            f"has another network called “{self._name}” than the one whose judge is here"
        )
        if interface.network is not None:
            if interface.network != self._network:
                raise other
            return
        if interface.input != IMAGE or PROBABILITIES not in interface.outputs:
            return
        from scipy.special import softmax

        side = interface.side or self._judge.plan.side
        seen = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), np.uint8)
        given = endpoint.ask(seen, [FEATURES, PROBABILITIES])
        features, probabilities = given[FEATURES], given[PROBABILITIES]
        if (
            features.shape[1] != self.width
            or probabilities.shape[1] != len(self._judge.classes)
            or not np.allclose(
                softmax(self._judge.own_logits(features), axis=1), probabilities, atol=NEAR
            )
        ):
            raise other


def seconds_for_one(backend: ServedBackend, side: int) -> float:
    """Return how long an image takes, there and back."""
    blank = np.zeros((1, side, side, 3), np.uint8)
    backend.features(blank)
    started = time.perf_counter()
    backend.features(blank)
    return time.perf_counter() - started
