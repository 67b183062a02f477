"""Where a study lies while it is searched: a journal on this machine, or a database for many.

Whoever decides which trial comes next holds the turn, so that none is begun twice, and none beyond
those that were asked for.  A trial whose worker is gone is failed, and its settings wait for
another worker.
"""

from __future__ import annotations

import math
import os
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import optuna
from filelock import FileLock, Timeout
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from model_training.tuning.record import StudyError

WORKER, RETRY, OWN, REASON, SECONDS = "worker", "retry", "own", "reason", "seconds"
"""The names under which Optuna keeps what we add to a trial."""
MOST_RETRIES = 3
"""After so many workers were lost over the same settings, these are given up."""
MISSED = 4
"""Signs of life that a worker misses before it is taken for lost."""
PATIENCE = 60.0
"""Seconds for which a database that does not answer is asked again."""
CONNECT = 5
"""Seconds for which a connection is waited for."""
TURN = 0x7E2C1A56  # The key of our advisory lock; any number that no other program would choose.

T = TypeVar("T")


class StorageLost(StudyError):
    """The storage went away, or never was there; the message says what is safe and what to do."""


class Store(Protocol):
    """What a search needs of a storage."""

    storage: BaseStorage
    shared: bool

    def turn(self) -> AbstractContextManager[None]:
        """Hold off every other worker of the study while deciding what comes next."""

    def fail_lost(self, study: optuna.Study) -> None:
        """Fail each trial whose worker is gone, and let its settings wait for another; in turn."""

    def sign(self, trial: Trial) -> None:
        """Say that this worker has begun `trial`; in turn."""

    def alive(self, trial: Trial) -> AbstractContextManager[None]:
        """Give signs of life of `trial` meanwhile."""

    def surely(self, action: Callable[[], T]) -> T:
        """Return what `action` does with the storage.

        Raises:
            StorageLost: the storage is gone.
        """


class Journal:
    """A file of one line for each change, for one worker at a time.

    Args:
        path: of the file; what a killed worker left half-written at its end is cut off.

    Raises:
        StudyError: another worker has it.
        StorageLost: it cannot be read or written.
    """

    shared = False

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._claim = FileLock(path.with_suffix(".lock"), blocking=False)
            self._claim.acquire()
        except Timeout:
            raise StudyError(
                f"Another `flask tune` is working on the study {path.stem}. Wait for it, or let "
                "several share one with --storage postgresql://…."
            ) from None
        except OSError as error:
            raise StorageLost(f"The study cannot be kept in {path.parent} ({error}).") from error
        self._looked = False
        try:
            _cut_torn_line(path)
            # The lock of a killed worker: ours is the one that counts.
            path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
            self.storage: BaseStorage = JournalStorage(JournalFileBackend(str(path)))
            self._file = path.stat().st_ino
        # What Optuna says of a line that it did not write, or that a newer one did.
        except (OSError, ValueError, LookupError, TypeError, AssertionError) as error:
            self.close()
            raise StorageLost(
                f"The journal {path} cannot be read ({error}). Move it away to begin anew, or take "
                "the version of Optuna that wrote it."
            ) from error

    def close(self) -> None:
        """Let another worker have it."""
        self._claim.release()

    @contextmanager
    def turn(self) -> Iterator[None]:
        yield

    def fail_lost(self, study: optuna.Study) -> None:
        # Whoever holds the file has no trial yet when it is first looked at.
        if not self._looked:
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                fail(study, trial)
        self._looked = True

    def sign(self, trial: Trial) -> None:
        trial.set_user_attr(WORKER, worker())

    def alive(self, trial: Trial) -> AbstractContextManager[None]:
        return nullcontext()

    def surely(self, action: Callable[[], T]) -> T:
        try:
            if self._path.stat().st_ino != self._file:
                raise FileNotFoundError("another file is in its place")
            return action()
        except (OSError, ValueError, KeyError) as error:
            raise StorageLost(
                f"The journal {self._path} could not be written ({error}). The trials that were "
                "finished before are in it, if it is still there. Make room, or put it back, and "
                "give the same command to go on."
            ) from error


class Database:
    """PostgreSQL, for any number of workers on any number of machines.

    Args:
        url: `postgresql://user:password@host/name`.
        name: of the study.
        heartbeat: seconds between the signs of life of a trial.
        patience: seconds for which a database that does not answer is asked again.

    Raises:
        StudyError: the address cannot work, or no driver for it is installed.
        StorageLost: nobody answers there.
    """

    shared = True

    def __init__(
        self, url: str, name: str, heartbeat: int = 30, patience: float = PATIENCE
    ) -> None:
        scheme, separator, rest = url.partition("://")
        if not separator or scheme.partition("+")[0] not in ("postgresql", "postgres"):
            raise StudyError(
                "--storage takes the address of a PostgreSQL database, such as "
                "postgresql://user:password@host/name. Without it a study is kept in a file here."
            )
        self._name, self._patience = name, patience
        self._where = rest.rpartition("@")[2].partition("?")[0]  # Without a password.
        try:
            import psycopg

            # Workers that begin together would all make the tables at once.
            with (
                warnings.catch_warnings(),
                psycopg.connect(f"postgresql://{rest}", connect_timeout=CONNECT) as connection,
            ):
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (TURN,))
                # Signs of life are said to be experimental.
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self._rdb = RDBStorage(
                    f"postgresql+psycopg://{rest}",
                    engine_kwargs={
                        "pool_pre_ping": True,
                        "connect_args": {"connect_timeout": CONNECT},
                    },
                    heartbeat_interval=heartbeat,
                    grace_period=MISSED * heartbeat,
                    heartbeat_stale_trial_callback=let_wait,
                )
        except ImportError as error:
            raise StudyError(
                "--storage postgresql://… needs a driver: `pip install -r "
                "requirements-postgresql.txt`."
            ) from error
        except Exception as error:  # SQLAlchemy's own, or the driver's.
            raise StorageLost(
                f"The database {self._where} does not answer ({_first_line(error)}). Look whether "
                "it runs, whether this machine may reach it, and at the name and the password."
            ) from error
        self.storage: BaseStorage = self._rdb
        self._heartbeat = heartbeat

    def close(self) -> None:
        """Give the connections back."""
        self._rdb.remove_session()
        self._rdb.engine.dispose()

    @contextmanager
    def turn(self) -> Iterator[None]:
        # The lock is that of a transaction: the database ends it when its worker is gone.
        connection = self._rdb.engine.connect()
        try:
            lock = "SELECT pg_advisory_xact_lock(%s, hashtext(%s))"
            connection.exec_driver_sql(lock, (TURN, self._name))
            yield
        finally:
            with suppress(Exception):  # A connection that is gone has no lock either.
                connection.close()

    def fail_lost(self, study: optuna.Study) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            optuna.storages.fail_stale_trials(study)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            # Who has the turn signs a trial in it: nobody is going to sign this one.
            if WORKER not in trial.user_attrs:
                fail(study, trial)

    def sign(self, trial: Trial) -> None:
        # In this order: what is signed and never gave a sign of life would never be missed.
        self._beat_of(trial)()
        trial.set_user_attr(WORKER, worker())

    @contextmanager
    def alive(self, trial: Trial) -> Iterator[None]:
        beat, over = self.surely(lambda: self._beat_of(trial)), threading.Event()

        def go_on() -> None:
            while not over.wait(self._heartbeat):
                with suppress(Exception):  # A database that comes back hears the next.
                    beat()
            self._rdb.remove_session()

        thread = threading.Thread(target=go_on, name="signs of life", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=self._heartbeat)

    def surely(self, action: Callable[[], T]) -> T:
        until, wait = math.inf, 0.5
        while True:
            try:
                return action()
            except Exception as error:
                if not _is_of_database(error):
                    raise
                # From when it went: what went well may have taken longer than that.
                until = min(until, time.monotonic() + self._patience)
                if time.monotonic() + wait > until:
                    raise StorageLost(
                        f"The database {self._where} went away ({_first_line(error)}). Every "
                        "finished trial is in it. When it is back, give the same command: the "
                        "trial that was going on is begun again, and counts once."
                    ) from error
            time.sleep(wait)
            wait = min(2 * wait, 8.0)

    def _beat_of(self, trial: Trial) -> Callable[[], None]:
        study = self._rdb.get_study_id_from_name(self._name)
        number = self._rdb.get_trial_id_from_study_id_trial_number(study, trial.number)
        return lambda: self._rdb.record_heartbeat(number)


def worker() -> str:
    """Return this process by name."""
    return f"{socket.gethostname()}:{os.getpid()}"


def fail(study: optuna.Study, trial: FrozenTrial | Trial, *, lost: bool = True) -> None:
    """Fail `trial`, which nobody is going to finish, and let its settings wait for a worker.

    Args:
        lost: whether its worker may have died of these settings; so often they are tried again.
    """
    # Others may have failed it already, and then its settings wait already.
    if study.get_trials(deepcopy=False)[trial.number].state != TrialState.RUNNING:
        return
    with suppress(optuna.exceptions.UpdateFinishedTrialError):
        let_wait(study, study.tell(trial.number, state=TrialState.FAIL), int(lost))


def let_wait(study: optuna.Study, failed: FrozenTrial, losses: int = 1) -> None:
    """Let the settings of a `failed` trial wait for a worker, unless too many were lost already."""
    retry = failed.user_attrs.get(RETRY, 0) + losses
    # It may have failed before it was given all that was fixed.
    values: dict[str, Any] = failed.system_attrs.get("fixed_params", {}) | failed.params
    if retry <= MOST_RETRIES and values:
        kept = {OWN: True} if failed.user_attrs.get(OWN) else {}
        study.enqueue_trial(values, user_attrs={RETRY: retry, **kept})


def _cut_torn_line(path: Path) -> None:
    """Cut off what follows the last whole line: the next one would be appended to it."""
    if not path.exists():
        return
    written = path.read_bytes()
    whole = written.rfind(b"\n") + 1
    if whole < len(written):
        with path.open("r+b") as file:
            file.truncate(whole)


def _is_of_database(error: Exception) -> bool:
    # SQLAlchemy is Optuna's affair, and none of ours.
    of = type(error).__module__.partition(".")[0]
    lost = isinstance(error, optuna.exceptions.StorageInternalError)
    return lost or of in ("sqlalchemy", "psycopg")


def _first_line(error: Exception) -> str:
    told = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
    words = str(told or error).strip().splitlines() or [type(error).__name__]
    return words[0].rstrip(".:")
