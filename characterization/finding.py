"""Finding subjects: by name from ``[tool.holdfast]`` or an entry point, or as ``module:Class``.

[tool.holdfast]
baselines = "holdfast"                                  # where baselines are kept
[tool.holdfast.subjects]
"shop.basket" = "tests.characterization:Basket"
"""

from __future__ import annotations

import importlib
import sys
import tomllib
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from characterization.errors import NothingSelectedError, SubjectError
from characterization.subject import Subject

ENTRY_POINTS = "holdfast.subjects"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Whose subjects these are: the folder, what its pyproject.toml says, and where its baselines are."""

    folder: Path
    baselines: Path
    subjects: Mapping[str, str] = field(default_factory=dict)

    @property
    def pending(self) -> Path:
        """Where results wait to be decided on. It ignores itself."""
        return self.folder / ".holdfast"

    def target(self, name: str) -> str:
        """``module:Class`` for a subject's name; what already is one stays.

        Raises:
            SubjectError: there is no such subject.
        """
        if ":" in name:
            return name
        if name in self.subjects:
            return self.subjects[name]
        for point in entry_points(group=ENTRY_POINTS):
            if point.name == name:
                return point.value
        raise SubjectError(f"there is no subject called {name!r}. {self._known()}")

    def selected(self, names: Sequence[str]) -> list[str]:
        """The subjects that ``names`` mean, which may be the beginnings of several; without names, every one.

        Raises:
            NothingSelectedError: no names were given, and the project has no subjects.
        """
        wanted = [name for asked in names for name in self._matching(asked)] if names else list(self.subjects)
        if not wanted:
            raise NothingSelectedError(f"no subject was named, and {self._known()}")
        return wanted

    def _matching(self, asked: str) -> list[str]:
        beneath = [name for name in self.subjects if name.startswith(asked + ".")]
        return [asked] if ":" in asked or asked in self.subjects or not beneath else beneath

    def _known(self) -> str:
        known = ", ".join(sorted(self.subjects))
        if known:
            return f"The project in {self.folder} has {known}; any other is named as module:Class."
        return (
            f"there is no [tool.holdfast.subjects] in a pyproject.toml in or above {self.folder}: name a subject as "
            "module:Class, for example `holdfast record myapp.pinning:Basket`."
        )


def find_project(start: Path) -> Project:
    """The project that ``start`` is in: the nearest folder, upwards, whose pyproject.toml has ``[tool.holdfast]``.

    Without one, ``start`` itself is a project without named subjects.
    """
    for folder in [start, *start.parents]:
        settings = _settings(folder / "pyproject.toml")
        if settings is not None:
            return Project(
                folder=folder,
                baselines=folder / str(settings.get("baselines", "holdfast")),
                subjects=dict(settings.get("subjects", {})),
            )
    return Project(folder=start, baselines=start / "holdfast")


def _settings(path: Path) -> dict[str, Any] | None:
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise SubjectError(f"{path} cannot be read: {error}") from error
    settings = read.get("tool", {}).get("holdfast")
    return settings if isinstance(settings, dict) else None


def load_subject(target: str, folders: Sequence[str] = ()) -> Subject:
    """An instance of the class that ``module:Class`` names, looked for in ``folders`` first.

    Raises:
        SubjectError: the module cannot be imported (with the line that failed), or the class is no subject.
    """
    for folder in reversed(folders):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    module_name, _, class_name = target.partition(":")
    found = getattr(_import(module_name, target), class_name, None)
    if not (isinstance(found, type) and issubclass(found, Subject)):
        raise SubjectError(f"{target} is not a subject: {class_name!r} must be a class derived from Subject")
    if not found.name:
        found.name = target
    found.operations()  # its rules are checked before anything runs
    return found()


@contextmanager
def imported_apart(folders: Sequence[str]) -> Iterator[None]:
    """Look in ``folders`` before anywhere else, and forget afterwards what was imported from them.

    So two versions of one package can be looked at, one after the other. Processes that are started meanwhile look
    there first, too.
    """
    path, known = list(sys.path), set(sys.modules)
    sys.path[:] = [*folders, *(folder for folder in path if folder not in folders)]
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - known:
            if _is_beneath(getattr(sys.modules[name], "__file__", None), folders):
                del sys.modules[name]
        importlib.invalidate_caches()


def _is_beneath(file: str | None, folders: Sequence[str]) -> bool:
    """Whether a module's file is one of a project's own: in a folder, but not in an environment inside it."""
    return (
        file is not None
        and "site-packages" not in file
        and any(Path(folder) in Path(file).parents for folder in folders)
    )


def _import(name: str, target: str) -> Any:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # a module that exits must not pass for one that is as pinned
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_foreign(frame.filename)]
        where = f" in {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        raise SubjectError(
            f"the subject {target} cannot be imported: {type(error).__name__}: {error}{where}. "
            f"It was looked for from {sys.path[0] or '.'} onwards."
        ) from error


def _is_foreign(file: str) -> bool:
    """Whether a line of a traceback is the author's: neither of the import machinery nor of this package."""
    return "importlib" not in file and Path(file).parent != Path(__file__).parent
