"""A project as somebody else would have it: a basket, its subject, a pyproject.toml; in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from characterization.baseline import Baseline, Baselines
from characterization.command_line import run
from characterization.finding import imported_apart, load_subject
from characterization.lenses.runner import Place, local_runner
from characterization.recording import explore
from tests.characterization.demo import SEED

PYPROJECT = """
[tool.holdfast]
baselines = "pinned"

[tool.holdfast.subjects]
"shop.basket" = "pinning:BasketSubject"
"""

SERVICE = """
class Basket:
    def __init__(self, redis):
        self.redis = redis

    async def add(self, item):
        await self.redis.sadd("basket", item)
        await self.redis.expire("basket", 60)
        return "added"

    async def clear(self):
        return await self.redis.delete("basket")
"""

SUBJECT = '''
from characterization import Subject, World, operation, seconds, small
from engine.basket import Basket


class BasketSubject(Subject):
    """What somebody is about to buy."""

    name = "shop.basket"
    horizons = [seconds(60)]

    def replica(self, world: World):
        return Basket(world.redis())

    @operation(item=small("a"))
    async def add(self, basket, item):
        return await basket.add(item)

    @operation()
    async def clear(self, basket):
        return await basket.clear()
'''


# The same commands in the same order, whether two at once can both be told that they were first or not.
LOOKS_AND_ADDS = """
class Basket:
    def __init__(self, redis):
        self.redis = redis

    async def add(self, item):
        known = await self.redis.sismember("basket", item)
        await self.redis.sadd("basket", item)
        return "there" if known else "added"

    async def clear(self):
        return await self.redis.delete("basket")
"""
ADDS_IN_ONE_STEP = LOOKS_AND_ADDS.replace("        known = await", "        await").replace(
    "        await self.redis.sadd", "        known = not await self.redis.sadd"
)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output, read as one JSON document."""
        return json.loads(self.out)


@contextmanager
def _own_modules(folder: Path) -> Iterator[None]:
    """Whatever is imported meanwhile from the project is forgotten."""
    engine = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "engine"}
    try:
        with imported_apart([str(folder)]):
            yield
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "engine"]:
            del sys.modules[name]
        sys.modules.update(engine)


class Project:
    """A project in a folder; commands run in it, in this process or in one of their own."""

    def __init__(self, folder: Path, capsys: Any, monkeypatch: Any) -> None:
        self.folder = folder
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        self.write("pyproject.toml", PYPROJECT)
        self.write("engine/__init__.py", "")
        self.write("engine/basket.py", SERVICE)
        self.write("pinning.py", SUBJECT)

    @property
    def baselines(self) -> Baselines:
        return Baselines(self.folder / "pinned")

    @property
    def pinned(self) -> Path:
        return self.folder / "pinned" / "shop.basket"

    def write(self, path: str, text: str) -> Path:
        """Write a file, and see to it that no older compilation of it is used."""
        found = self.folder / path
        found.parent.mkdir(parents=True, exist_ok=True)
        found.write_text(text)
        for cache in self.folder.rglob("__pycache__"):
            shutil.rmtree(cache)
        return found

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace what must be there."""
        text = (self.folder / path).read_text()
        assert old in text, f"{path} has no {old!r}"
        self.write(path, text.replace(old, new))

    def change_the_answer(self) -> None:
        """As a careless refactor would."""
        self.edit("engine/basket.py", '"added"', '"put"')

    def change_the_effect(self) -> None:
        """As a careless refactor would."""
        self.edit("engine/basket.py", '        await self.redis.expire("basket", 60)\n', "")

    def change_the_cost(self) -> None:
        """As a careless refactor would."""
        self.edit("engine/basket.py", "        return await", '        await self.redis.get("x")\n        return await')

    def imported(self) -> AbstractContextManager[None]:
        """What is imported from this project meanwhile is forgotten afterwards."""
        return _own_modules(self.folder)

    def pin(self, *, faults: bool = False) -> None:
        """Write the baseline of what the project shows now, without a command."""
        with _own_modules(self.folder):
            place = Place(target="pinning:BasketSubject", folders=(str(self.folder),))
            with local_runner(load_subject(place.target, place.folders), SEED) as runner:
                recording = explore(place, runner, lambda _: None, faults=faults)
        self.baselines.write(recording.subject, Baseline(recording=recording), {"target": place.target})

    def run(self, *arguments: str) -> Result:
        """The command, in this process."""
        self._capsys.readouterr()
        with self._monkeypatch.context() as patch, _own_modules(self.folder):
            patch.chdir(self.folder)
            patch.setattr(sys, "dont_write_bytecode", True)
            code = run(
                [*arguments, *([] if "--workers" in arguments or arguments[0].startswith("-") else ["--workers", "1"])]
            )
        said = self._capsys.readouterr()
        return Result(code=code, out=said.out, err=said.err)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """The command, in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "characterization", *arguments], cwd=self.folder, text=True, env=environment(),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
        )  # fmt: skip

    def git(self, *arguments: str) -> None:
        """Git, as nobody in particular."""
        who = [
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "-c",
            "init.defaultBranch=main",
            "-c",
            "commit.gpgsign=false",
        ]
        subprocess.run(["git", *who, *arguments], cwd=self.folder, check=True, capture_output=True)

    def idents(self) -> dict[str, str]:
        """The names of what is pinned, by program."""
        return {each.program.text: each.ident for each in self.baselines.read("shop.basket").recording}

    def races(self) -> dict[str, str]:
        """The names of what is pinned of operations at once, by program."""
        races = self.baselines.read("shop.basket").recording.races
        return {text: race.ident for text, race in races.items()}


def environment(**more: str) -> dict[str, str]:
    """The environment of a process of our own, in which this checkout can be imported."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONDONTWRITEBYTECODE": "1", **more}


def files(folder: Path) -> dict[str, bytes]:
    """Every file beneath a folder, by its path."""
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}
