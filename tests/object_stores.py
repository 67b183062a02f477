"""Object stores that nobody here wrote, which run on this machine: S3 by moto, GCS by its emulator.

They are in an environment of their own, `.venv-stores`, which `make test-stores` makes.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import PROJECT

BIN = PROJECT / ".venv-stores" / "bin"
BUCKET = "photos"
REGION = "us-east-1"


@dataclass(frozen=True)
class ObjectStore:
    """A store with one bucket.

    Args:
        scheme: "s3" or "gs".
        host: HOST:PORT.
        user, secret: by which it lets in; GCS' emulator looks at none.
    """

    scheme: str
    host: str
    user: str
    secret: str = ""

    def address(
        self,
        path: str = "",
        *,
        bucket: str = BUCKET,
        host: str | None = None,
        user: str | None = None,
        secret: str | None = None,
    ) -> str:
        """Return the address of `path` in it, with all that it takes to get there."""
        login = user or self.user
        login += f":{secret or self.secret}" if self.secret else ""
        return f"{self.scheme}://{login}@{bucket}{path}?{self.query(host)}"

    def query(self, host: str | None = None) -> str:
        """Return what an address says of where it is."""
        where = f"scheme=http&endpoint_override={host or self.host}"
        return where if self.scheme == "gs" else f"{where}&region={REGION}"

    def put(self, name: str, data: bytes) -> None:
        """Keep `data` in the bucket."""
        with self._file_system().open_output_stream(f"{BUCKET}/{name}", compression=None) as file:
            file.write(data)

    def put_folder(self, name: str) -> None:
        """Keep what a store's console makes where somebody asks for a folder: an empty object."""
        self._file_system().create_dir(f"{BUCKET}/{name}")

    def _file_system(self) -> Any:
        from pyarrow import fs

        place = {"scheme": "http", "endpoint_override": self.host}
        if self.scheme == "gs":
            return fs.GcsFileSystem(anonymous=True, **place)
        return fs.S3FileSystem(access_key=self.user, secret_key=self.secret, region=REGION, **place)


@contextlib.contextmanager
def s3(log: Path) -> Iterator[ObjectStore]:
    """Run moto's server, which lets in by one key, with a bucket."""
    host = f"127.0.0.1:{_free_port()}"
    command: list[Path | str] = [
        BIN / "moto_server",
        "-H",
        "127.0.0.1",
        "-p",
        host.rpartition(":")[2],
    ]
    with _running(command, host, log):
        made = subprocess.run(
            [BIN / "python", "-c", _OWNER, f"http://{host}", BUCKET], capture_output=True
        )
        assert made.returncode == 0, made.stderr.decode()
        user, secret = json.loads(made.stdout)
        # From now on it looks at keys and signatures.
        _post(f"http://{host}/moto-api/reset-auth", b"0", "text/plain")
        yield ObjectStore("s3", host, user, secret)


@contextlib.contextmanager
def gcs(log: Path) -> Iterator[ObjectStore]:
    """Run the emulator of Google Cloud Storage, with a bucket."""
    host = f"127.0.0.1:{_free_port()}"
    place = ["--host", "127.0.0.1", "--port", host.rpartition(":")[2], "--in-memory"]
    with _running([BIN / "gcp-storage-emulator", "start", *place], host, log):
        bucket = json.dumps({"name": BUCKET}).encode()
        _post(f"http://{host}/storage/v1/b?project=test", bucket, "application/json")
        yield ObjectStore("gs", host, "anonymous")


class Relay:
    """What stands between a client and a store, and cuts them off after some requests.

    Args:
        host: HOST:PORT of the store.
        most: requests that are handed on; then nobody answers any more until `mend`.
        silent: whether connections are kept then, and nothing is said; else they are refused.
    """

    def __init__(self, host: str, most: int, *, silent: bool = False) -> None:
        self._upstream = ("127.0.0.1", int(host.rpartition(":")[2]))
        self._most, self._silent = most, silent
        self.requests = 0
        self.cut = threading.Event()
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        port = _free_port()
        self.host = f"127.0.0.1:{port}"
        self._listen(port)

    def mend(self) -> None:
        """Hand on again whatever comes."""
        self.close()
        self._most = 10**9
        self.cut.clear()
        self._listen(int(self.host.rpartition(":")[2]))

    def close(self) -> None:
        """Let go of every connection, and take none."""
        for one in [self._listening, *self._open]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def _listen(self, port: int) -> None:
        self._listening = socket.create_server(("127.0.0.1", port), backlog=100)
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _address = listening.accept()
                far = socket.create_connection(self._upstream)
                self._open += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._hand_on, args=(*ends, near), daemon=True).start()

    def _hand_on(self, here: socket.socket, there: socket.socket, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := here.recv(2**16):
                if here is near and not self._may(data.count(b" HTTP/1.1\r\n")):
                    if self._silent:
                        return
                    self.close()
                there.sendall(data)
        if not self.cut.is_set():
            for one in (here, there):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _may(self, requests: int) -> bool:
        with self._lock:
            self.requests += requests
            if self.requests > self._most:
                self.cut.set()
            return not self.cut.is_set()


# Who may do all, as moto's owner: printed are the key and its secret.
_OWNER = """
import json, sys, boto3
place = dict(endpoint_url=sys.argv[1], region_name="us-east-1",
             aws_access_key_id="x", aws_secret_access_key="x")
boto3.client("s3", **place).create_bucket(Bucket=sys.argv[2])
iam = boto3.client("iam", **place)
iam.create_user(UserName="reader")
every = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
policy = json.dumps({"Version": "2012-10-17", "Statement": [every]})
iam.put_user_policy(UserName="reader", PolicyName="all", PolicyDocument=policy)
key = iam.create_access_key(UserName="reader")["AccessKey"]
print(json.dumps([key["AccessKeyId"], key["SecretAccessKey"]]))
"""


@contextlib.contextmanager
def _running(command: list[Path | str], host: str, log: Path) -> Iterator[None]:
    assert (BIN / "python").exists(), "run `make test-stores`, which installs it"
    with log.open("w") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent)
        try:
            deadline = time.monotonic() + 120
            while not _takes(host):
                assert server.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield
        finally:
            server.terminate()
            server.wait(timeout=30)


def _takes(host: str) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", int(host.rpartition(":")[2])), 1).close()
        return True
    return False


def _post(address: str, data: bytes, kind: str) -> None:
    asked = urllib.request.Request(address, data, {"Content-Type": kind})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert answer.status == 200


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
