"""The same project at another git revision, laid out in a folder of its own for as long as it is looked at."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from characterization.errors import HoldfastError

SECONDS_MAX = 60


@contextmanager
def worktree(folder: Path, revision: str) -> Iterator[Path]:
    """The files of ``folder`` as git has them at ``revision``, in a temporary folder. The repository is not touched.

    Raises:
        HoldfastError: ``folder`` is in no repository, there is no such revision, or git is not installed.
    """
    inside = _git(folder, "rev-parse", "--show-prefix").decode().strip()
    top = Path(_git(folder, "rev-parse", "--show-toplevel").decode().rstrip("\n"))  # a part is only packed from there
    packed = _git(top, "archive", "--format=tar", f"{_commit(folder, revision)}:{inside}")
    with tempfile.TemporaryDirectory(prefix="holdfast-") as name:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(name, filter="data")
        yield Path(name)


def _commit(folder: Path, revision: str) -> str:
    return (
        _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").decode().strip()
    )


def _git(folder: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and a revision cannot be taken for an option
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - the user's own git
            capture_output=True, check=True, timeout=SECONDS_MAX,
        )  # fmt: skip
    except FileNotFoundError:
        raise HoldfastError("git is not installed, and --base needs it") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip() or "there is no such revision"
        raise HoldfastError(f"git {arguments[0]} of {arguments[-1]} in {folder}: {said}") from error
    return done.stdout
