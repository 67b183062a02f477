"""Enter a Ray cluster as its driver, or say in a sentence why that cannot be done."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SECONDS = 5.0
"""For which a head node is waited for to take a connection."""
_QUIET = {
    # Ray itself asks twenty times, each time for 41 seconds.
    "RAY_NUM_REDIS_GET_RETRIES": "2",
    "RAY_py_gcs_connect_timeout_s": "10",
    # What it says of each trouble, in pages, is in the sentence that this process ends with.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_CHECK = (
    "Is it running (`ray status` says so there), is that its address and its port (6379 unless it "
    "was told another), and does no firewall stand between?"
)


class ClusterError(Exception):
    """Nothing can be done on a cluster; the message says why, and what to do."""


class NoRay(ClusterError):
    """Ray is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "--ray needs Ray, here and on every machine of the cluster: `pip install -r "
            "requirements-ray.txt` installs it. Without --ray nothing more is needed."
        )


def check(address: str, seconds: float = SECONDS) -> None:
    """Say now what would keep anybody from entering the cluster at `address`.

    Args:
        seconds: for which the head node is waited for to take a connection.

    Raises:
        ClusterError: it is no address, Ray is not installed, or nobody answers there.
    """
    _check_address(address)
    os.environ.update({name: os.environ.get(name, value) for name, value in _QUIET.items()})
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise NoRay from error
    _check_port(address, seconds)


@contextlib.contextmanager
def joined(
    address: str,
    packages: tuple[Path, ...],
    variables: dict[str, str],
) -> Iterator[int]:
    """Join the cluster whose head node is at `address` as its driver; yield its processors.

    Args:
        packages: folders of Python packages that its nodes are sent, so that they run this code.
        variables: of the environment of its workers.

    Raises:
        ClusterError: there is no Ray, no cluster, or one that this process does not fit into.
    """
    check(address)
    import ray

    _join(ray, address, packages, variables)
    _hush(ray)
    try:
        processors = int(ray.cluster_resources().get("CPU", 0))
        if not processors:
            raise ClusterError(
                f"No node of the cluster at {address} offers a processor: `ray start --num-cpus` "
                "says how many one offers."
            )
        yield processors
    finally:
        ray.shutdown()


def _hush(ray: Any) -> None:
    """Keep Ray from printing each try that failed on standard output, which has no setting."""
    # Its own name: where a later Ray has another, its lines are printed and nothing else changes.
    with contextlib.suppress(AttributeError):
        ray._private.worker.print_to_stdstream = lambda *_told, **_how: None


def _check_address(address: str) -> None:
    if address.startswith("ray://"):
        raise ClusterError(
            "--ray takes the address of the head node itself, HOST:PORT, and the command is run on "
            "a machine of the cluster; Ray's client, ray://, is not used."
        )
    if not re.fullmatch(r"[^\s:/]+:\d{1,5}", address):
        raise ClusterError(
            f"--ray takes HOST:PORT, such as 10.0.0.1:6379, and {address!r} is none: `ray start "
            "--head` says it."
        )


def _check_port(address: str, seconds: float) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=seconds).close()
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ClusterError(
            f"There is no head node of a Ray cluster at {address} ({why}). {_CHECK}"
        ) from error


def _join(ray: Any, address: str, packages: tuple[Path, ...], variables: dict[str, str]) -> None:
    try:
        with _standard_error_aside():
            ray.init(
                address,
                runtime_env={
                    "py_modules": [str(one) for one in packages],
                    "env_vars": variables,
                    "excludes": ["**/__pycache__/"],
                },
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except RuntimeError as error:
        if "ersion mismatch" not in str(error):
            raise ClusterError(_not_joined(address, error)) from error
        versions = re.findall(r"(Ray|Python): (\S+)", str(error))
        theirs, ours = (
            " and ".join(f"{name} {number}" for name, number in some)
            for some in (versions[:2], versions[2:4])
        )
        raise ClusterError(
            f"The cluster at {address} runs on {theirs}, and this process on {ours}: they must be "
            "the same. `pip install -r requirements-ray.txt` installs the Ray that this project "
            "was tried with."
        ) from error
    except (ConnectionError, ValueError, TimeoutError, OSError) as error:
        raise ClusterError(_not_joined(address, error)) from error


@contextlib.contextmanager
def _standard_error_aside() -> Iterator[None]:
    """Keep from standard error what C++ writes there, that its level of logging was read first."""
    try:
        real = os.dup(2)
    except OSError:  # Whoever runs us has closed it.
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(real, 2)
        os.close(real)


def _not_joined(address: str, error: Exception) -> str:
    first = str(error).partition("\n")[0].rstrip(". ")[:200]
    return (
        f"Something answers at {address}, but this process cannot join a Ray cluster there "
        f"({first}). Is that the port of Ray's head node, is this machine a node of the cluster "
        f"(`ray start --address={address}`), and has it the cluster's token (RAY_AUTH_MODE, "
        "RAY_AUTH_TOKEN), if there is one?"
    )
