"""Class folders in a `.tar` archive, unpacked for as long as they are read."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model_training.datasets.folders.class_folders import FolderError


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Yield the folder `path`; or, if it is an archive, the folder of class folders in it.

    Raises:
        FolderError: it is neither.
        OSError: it cannot be read, or there is no room to unpack it.
    """
    if path.is_dir():
        yield path
        return
    if not path.is_file():
        raise FolderError(f"There is no folder {path}.")
    with tempfile.TemporaryDirectory() as temporary:
        try:
            with tarfile.open(path) as archive:
                # The "data" filter refuses links and paths that lead out of the folder.
                archive.extractall(temporary, filter="data")
        except (tarfile.TarError, EOFError) as error:
            raise FolderError(
                f"{path} is neither a folder nor a whole .tar archive ({error})."
            ) from error
        yield _class_folders(Path(temporary))


def _class_folders(folder: Path) -> Path:
    # An archive holds the class folders, or one folder that does.
    inner = [path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."]
    if len(inner) == 1 and any(path.is_dir() for path in inner[0].iterdir()):
        return inner[0]
    return folder
