"""House rules that no linter knows. Each is a pure function over source text that names what breaks it.

Each has a test that shows it biting on a planted violation, and one that holds the tree to it.
"""

from __future__ import annotations

import ast
import io
import re
import shutil
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("engine", "simulator", "characterization", "reports", "benchmarks")
LINES_MAX = 60
LINES_SMALL = 8
SHARE_SMALL = 0.5

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


# Rules over one source: what breaks them, each with its line.


def functions(tree: ast.AST) -> Iterator[Function]:
    """Every function and method, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length(function: Function) -> int:
    """Its lines from ``def`` to the last one, docstring included."""
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def too_long(source: str) -> list[str]:
    """A function fits on a screen."""
    return [
        f"{each.lineno}: {each.name} has {length(each)} lines"
        for each in functions(ast.parse(source))
        if length(each) > LINES_MAX
    ]


UNWELCOME = {"util", "utils", "common", "helper", "helpers", "misc", "manager"}
WELCOME = {"LifecycleManager": "the specification's own word"}


def says_nothing(name: str) -> bool:
    """Whether a module's or a class's name has a word that would fit any other as well."""
    words = {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}
    return name not in WELCOME and bool(words & UNWELCOME)


def unwelcome_classes(source: str) -> list[str]:
    """A class is called after what it is."""
    classes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef))
    return [f"{each.lineno}: class {each.name}" for each in classes if says_nothing(each.name)]


def unfinished(source: str) -> list[str]:
    """Nothing is left for later."""
    return [
        f"{token.start[0]}: {token.string.strip()}"
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if (token.type == tokenize.NAME and token.string == "NotImplementedError")
        or (token.type == tokenize.COMMENT and re.search(r"\b(?:TODO|FIXME|XXX)\b", token.string))
    ]


def swallowed(source: str) -> list[str]:
    """No error is put out of mind: a handler does something, and nothing suppresses everything."""
    tree = ast.parse(source)
    handlers = (node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler))
    suppressed = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and _suppresses_everything(node))
    return [
        *(f"{each.lineno}: a handler that does nothing" for each in handlers if all(map(_does_nothing, each.body))),
        *(f"{each.lineno}: {ast.unparse(each)}" for each in suppressed),
    ]


def _does_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass | ast.Continue) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _suppresses_everything(call: ast.Call) -> bool:
    return ast.unparse(call.func).endswith("suppress") and any(
        ast.unparse(each) in ("Exception", "BaseException") for each in call.args
    )


SOURCE_RULES: Mapping[Callable[[str], list[str]], tuple[str, ...]] = {
    too_long: ("def long():\n" + "    x = 1\n" * LINES_MAX, "class A:\n  async def b(self):\n" + "    x = 1\n" * LINES_MAX),
    unwelcome_classes: ("class StateManager: ...", "class RedisHelper: ...", "class HTTPUtils: ...", "class Misc: ..."),
    unfinished: ("raise NotImplementedError", "raise NotImplementedError('x')", "x = 1  # TODO: y", "# FIXME"),
    swallowed: (
        "try: x()\nexcept: pass",
        "try: x()\nexcept ValueError:\n    ...",
        "for i in y:\n    try: x()\n    except (KeyError, ValueError) as error:\n        'why'\n        continue",
        "with contextlib.suppress(Exception): x()",
    ),
}  # fmt: skip
INNOCENT = '''
class Common(Exception):
    """Not a word of ours is in CommonMark, helpfulness or management, nor in a text: TODO."""

def common(x):
    try:
        return x()
    except ValueError as error:
        raise KeyError from error
'''.replace("Common(", "Uncommon(")


# Rules over a package, and over all of them.


def mapped(docstring: str) -> list[str]:
    """The names in a package's map: four spaces, a name, two spaces at least, and what it is for."""
    return re.findall(r"^ {4}(\w+) {2,}\S", docstring, re.MULTILINE)


def off_the_map(docstring: str, modules: Iterable[str]) -> list[str]:
    """The map at the door names every module, once, and none that is not there."""
    names, there = mapped(docstring), set(modules)
    return [
        *(f"{name} is not on the map" for name in sorted(there - set(names))),
        *(f"{name} is on the map, and is not there" for name in sorted(set(names) - there)),
        *(f"{name} is on the map twice" for name in sorted({name for name in names if names.count(name) > 1})),
    ]


def undocumented(sources: Mapping[str, str]) -> list[str]:
    """Every public module, class, function and method has a docstring.

    Without one may be: a method that overrides, since its contract is where it was first written (the base is in these
    sources and has the method, or is from elsewhere); a protocol's method that is only `...`, where the protocol's own
    docstring says it all; and an operation of a subject whose body is one statement, since it hands its arguments on, and
    its contract is the service's.
    """
    trees = {name: ast.parse(source) for name, source in sources.items()}
    classes = {node.name: node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    found = [f"{name}: no docstring" for name, tree in trees.items() if tree.body and not ast.get_docstring(tree)]
    for name, tree in trees.items():
        for owner, each in _public(tree):
            exempt = owner is not None and isinstance(each, Function) and _is_told_elsewhere(owner, each, classes)
            if not ast.get_docstring(each) and not exempt:
                found.append(f"{name}:{each.lineno}: {owner.name + '.' if owner else ''}{each.name} has no docstring")
    return found


def _public(tree: ast.Module | ast.ClassDef) -> Iterator[tuple[ast.ClassDef | None, Definition]]:
    owner = tree if isinstance(tree, ast.ClassDef) else None
    for node in tree.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield owner, node
            if isinstance(node, ast.ClassDef):
                yield from _public(node)


def _is_told_elsewhere(owner: ast.ClassDef, method: Function, classes: Mapping[str, ast.ClassDef]) -> bool:
    decorators = [ast.unparse(each) for each in method.decorator_list]
    if any(each.startswith("operation(") for each in decorators) and len(method.body) == 1:
        return True
    if any(ast.unparse(each).partition("[")[0] == "Protocol" for each in owner.bases):
        return ast.unparse(method.body[-1]) == "..." and len(method.body) == 1
    return f"{method.name}.setter" in decorators or _overrides(owner, method.name, classes)


def _overrides(owner: ast.ClassDef, method: str, classes: Mapping[str, ast.ClassDef]) -> bool:
    for base in (ast.unparse(each).partition("[")[0] for each in owner.bases):
        if base in ("Protocol", "Generic", "object", "Exception"):
            continue
        known = classes.get(base.rpartition(".")[2])
        if known is None or _has(known, method) or _overrides(known, method, classes):
            return True
    return False


def _has(owner: ast.ClassDef, method: str) -> bool:
    return any(isinstance(node, Function) and node.name == method for node in owner.body)


# Rules over tests.


def toothless(source: str) -> list[str]:
    """Every test function asserts: itself, or through a function of its module that does."""
    tree = ast.parse(source)
    every = {each.name: each for each in functions(tree)}
    asserting = {name for name, each in every.items() if _asserts(each, ())}
    while True:
        more = {name for name, each in every.items() if _asserts(each, asserting)}
        if more <= asserting:
            break
        asserting |= more
    return [
        f"{each.lineno}: {name}" for name, each in every.items() if name.startswith("test_") and name not in asserting
    ]


def _asserts(function: Function, asserting: Iterable[str]) -> bool:
    called = {ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
    judges = {"pytest.raises", "pytest.warns", "pytest.fail", *asserting}
    return any(isinstance(node, ast.Assert) for node in ast.walk(function)) or bool(called & judges)


def waits(source: str) -> list[str]:
    """No test waits for real time: ``time.sleep`` is not taken from its module, by whatever name."""
    tree = ast.parse(source)
    names = {
        alias.asname or alias.name
        for node in ast.walk(tree) if isinstance(node, ast.Import)
        for alias in node.names if alias.name == "time"
    }  # fmt: skip
    return [
        f"{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if (
            isinstance(node, ast.ImportFrom)
            and node.module == "time"
            and any(a.name in ("sleep", "*") for a in node.names)
        )
        or (isinstance(node, ast.Attribute) and node.attr == "sleep" and ast.unparse(node.value) in names)
    ]


SLEEPING_IS_REFUSED = {
    "tests/simulator/test_virtual.py": "a world refuses to sleep, and says which line wanted to",
    "tests/characterization/test_performing.py": "an operation that sleeps is refused",
}

TEST_RULES: Mapping[Callable[[str], list[str]], tuple[str, ...]] = {
    toothless: (
        "def test_nothing():\n    x = 1",
        "class TestA:\n    async def test_b(self):\n        print('assert')",
        "def look(): return 1\ndef test_c():\n    look()",
    ),
    waits: ("from time import sleep", "import time\ntime.sleep(1)", "import time as t\nt.sleep(1)"),
}
INNOCENT_TESTS = """
import asyncio, time, pytest

def holds(x):
    assert x

def everything_holds(x):
    holds(x)

async def test_one():
    await asyncio.sleep(0)
    everything_holds(time.monotonic())

def test_two():
    with pytest.raises(ValueError):
        int("x")
"""


# Rules over other files.


def unexplained_dependencies(pyproject: str) -> list[str]:
    """Every dependency has a reason: a comment behind it, or on the line above. A package's own extras need none."""
    project = tomllib.loads(pyproject)["project"]
    groups = [project.get("dependencies", []), *project.get("optional-dependencies", {}).values()]
    wanted = {each for group in groups for each in group if not each.startswith(f"{project['name']}[")}
    lines = [line.strip() for line in pyproject.splitlines()]
    found = []
    for above, line in zip(["", *lines], lines, strict=False):
        quoted = re.fullmatch(r'"(?P<name>[^"]+)",?\s*(?P<reason>#.*)?', line)
        if quoted and quoted["name"] in wanted and not quoted["reason"] and not above.startswith("#"):
            found.append(quoted["name"])
    return found


def lines_saying(text: str, command: str) -> list[str]:
    """The lines of a script or a document on which ``command`` stands as a command."""
    return [line for line in text.splitlines() if re.match(rf"\s*(?:\$ )?{re.escape(command)}(?![\w-])", line)]


# A folder at the root of a file system that is somebody's own.
_SOMEBODYS = re.compile(r"(?<![\w.~*)}\]-])/(?:home|Users|root|work)/[\w.]|[A-Z]:\\Users\\")


def paths_of_a_machine(text: str) -> list[str]:
    """Nothing names a folder of the machine on which it was written."""
    return [
        f"{number}: {line.strip()[:100]}" for number, line in enumerate(text.splitlines(), 1) if _SOMEBODYS.search(line)
    ]


# The tree.


def modules_of(folder: Path) -> list[str]:
    """The modules and packages in a package's folder. Those with two underscores have their names from Python."""
    files = [path.stem for path in folder.glob("*.py") if not path.stem.startswith("__")]
    return files + [path.parent.name for path in folder.glob("*/__init__.py")]


def python_files(*folders: str) -> dict[str, str]:
    """Sources by their path from the root."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
    }


def broken(rule: Callable[[str], list[str]], sources: Mapping[str, str]) -> list[str]:
    """What breaks ``rule`` in any of ``sources``."""
    return [f"{name}:{found}" for name, source in sources.items() for found in rule(source)]


def kept_files() -> list[Path]:
    """Every file that git has, or would have if it were added."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


DOORS = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("__init__.py"))


def test_there_is_a_tree_to_hold_to_the_rules() -> None:
    assert all((ROOT / package / "__init__.py").is_file() for package in PACKAGES)
    assert len(python_files(*PACKAGES)) > len(DOORS) > len(PACKAGES)


@pytest.mark.parametrize(
    ("rule", "bad"), [(rule, bad) for rule, every in {**SOURCE_RULES, **TEST_RULES}.items() for bad in every]
)
def test_a_rule_bites(rule: Callable[[str], list[str]], bad: str) -> None:
    assert rule(bad)


@pytest.mark.parametrize("rule", SOURCE_RULES)
def test_a_rule_leaves_the_innocent_alone(rule: Callable[[str], list[str]]) -> None:
    assert rule(INNOCENT) == []


@pytest.mark.parametrize("rule", TEST_RULES)
def test_a_rule_leaves_innocent_tests_alone(rule: Callable[[str], list[str]]) -> None:
    assert rule(INNOCENT_TESTS) == []


@pytest.mark.parametrize("rule", SOURCE_RULES)
def test_the_packages_keep_a_rule(rule: Callable[[str], list[str]]) -> None:
    assert broken(rule, python_files(*PACKAGES)) == []


def test_every_test_asserts_something() -> None:
    assert broken(toothless, python_files("tests")) == []


def test_no_test_sleeps() -> None:
    sources = python_files("tests")
    assert broken(waits, {name: source for name, source in sources.items() if name not in SLEEPING_IS_REFUSED}) == []


@pytest.mark.parametrize("name", SLEEPING_IS_REFUSED)
def test_who_may_call_sleep_does_so_because_it_is_refused(name: str) -> None:
    source = (ROOT / name).read_text(encoding="utf-8")
    assert waits(source)
    assert "refused" in source


def test_a_function_of_exactly_a_screen_is_not_too_long() -> None:
    assert too_long("def fits():\n" + "    x = 1\n" * (LINES_MAX - 1)) == []


def test_at_least_half_of_all_functions_have_eight_lines_or_fewer(
    record_property: Callable[[str, object], None],
) -> None:
    lengths = [length(each) for source in python_files(*PACKAGES).values() for each in functions(ast.parse(source))]
    small = sum(lines <= LINES_SMALL for lines in lengths)
    record_property("functions", f"{small} of {len(lengths)} have at most {LINES_SMALL} lines")
    assert small / len(lengths) >= SHARE_SMALL, f"{small} of {len(lengths)} have at most {LINES_SMALL} lines"


def test_no_module_or_package_is_called_after_nothing() -> None:
    assert says_nothing("utils")
    assert says_nothing("redis_helpers")
    assert not says_nothing("helpfulness")
    assert [name for name in python_files(*PACKAGES) if any(map(says_nothing, Path(name).with_suffix("").parts))] == []


def test_every_name_that_is_allowed_for_a_reason_is_still_there() -> None:
    classes = {
        node.name
        for source in python_files(*PACKAGES).values()
        for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)
    }  # fmt: skip
    assert set(WELCOME) <= classes


MAP = """Things.

    one    the first
    two    the second

Start with ``one``; not with    three.
"""


@pytest.mark.parametrize(
    ("modules", "expected"),
    [
        (["one", "two"], []),
        (["one"], ["two is on the map, and is not there"]),
        (["one", "two", "three"], ["three is not on the map"]),
    ],
)
def test_a_map_that_is_wrong_is_noticed(modules: list[str], expected: list[str]) -> None:
    assert off_the_map(MAP, modules) == expected


def test_a_map_that_names_a_module_twice_is_noticed() -> None:
    assert off_the_map(MAP + "    one    again\n", ["one", "two"]) == ["one is on the map twice"]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.parent.relative_to(ROOT).as_posix())
def test_the_map_at_the_door_names_every_module_and_no_other(door: Path) -> None:
    docstring = ast.get_docstring(ast.parse(door.read_text(encoding="utf-8")), clean=False) or ""
    assert off_the_map(docstring, modules_of(door.parent)) == []


@pytest.mark.parametrize(
    "bad",
    [
        "def f(): pass",
        '"""Doc."""\ndef f(): pass',
        '"""Doc."""\nclass A: pass',
        '"""Doc."""\nclass A:\n    """Doc."""\n    def f(self): pass',
        '"""Doc."""\nclass A(Protocol):\n    """Doc."""\n    def f(self): return 1',
        '"""Doc."""\nclass A(Protocol):\n    def f(self): ...',
        '"""Doc."""\nclass B:\n    """Doc."""\nclass A(B):\n    """Doc."""\n    def f(self): pass',
        '"""Doc."""\nclass A(Elsewhere):\n    """Doc."""\n    class C:\n        def f(self): pass',
        '"""Doc."""\nclass A:\n    """Doc."""\n    @operation()\n    async def f(self):\n        x = 1\n        y = 2',
    ],
)
def test_a_missing_docstring_is_noticed(bad: str) -> None:
    assert undocumented({"bad.py": bad})


@pytest.mark.parametrize(
    "innocent",
    [
        "",
        '"""Doc."""\ndef _f(): pass\nclass _A:\n    def f(self): pass',
        '"""Doc."""\ndef f():\n    """Doc."""\n    def nested(): pass',
        '"""Doc."""\nclass B:\n    """Doc."""\n    def f(self): "Doc."\nclass A(B):\n    """Doc."""\n    def f(self): 1',
        '"""Doc."""\nclass A(Protocol[T]):\n    """Doc."""\n    def f(self): ...',
        '"""Doc."""\nclass A(elsewhere.Base[int]):\n    """Doc."""\n    def f(self): pass',
        '"""Doc."""\nclass A:\n    """Doc."""\n    @operation(x=small(1))\n    async def f(self):\n        await x()',
    ],
)
def test_what_is_private_nested_or_told_elsewhere_needs_no_docstring(innocent: str) -> None:
    assert undocumented({"good.py": innocent}) == []


def test_every_public_thing_has_a_docstring() -> None:
    assert undocumented(python_files(*PACKAGES)) == []


PYPROJECT = """
[project]
name = "x"
dependencies = [
    # Why a.
    "a>=1",
    "b>=2",
]
[project.optional-dependencies]
dev = [
    "x[other]",
    "c",    # why c
    "d; sys_platform == 'linux'",
]
"""


def test_a_dependency_without_a_reason_is_noticed() -> None:
    assert unexplained_dependencies(PYPROJECT) == ["b>=2", "d; sys_platform == 'linux'"]


def test_every_dependency_has_a_reason() -> None:
    assert unexplained_dependencies((ROOT / "pyproject.toml").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("text", ["", "# make test", "make tests", "make test-all", "remake test", "run `make test`"])
def test_a_command_that_is_not_given_is_not_found(text: str) -> None:
    assert lines_saying(text, "make test") == []


@pytest.mark.parametrize("command", ["make characterize", "make test"])
def test_the_readme_gives_both_commands(command: str) -> None:
    assert lines_saying((ROOT / "README.md").read_text(encoding="utf-8"), command)


def test_ci_runs_what_the_readme_says() -> None:
    assert lines_saying((ROOT / ".ci" / "run").read_text(encoding="utf-8"), "make test")


@pytest.mark.parametrize("folder", ["home/me", "Users/me", "root", "work"])
def test_a_path_of_a_machine_is_noticed(folder: str) -> None:
    assert paths_of_a_machine(f"fine\nopen('/{folder}/x')\n") == [f"2: open('/{folder}/x')"]
    assert paths_of_a_machine(f"src/{folder}/x, ~/{folder}/x, https://a.b/{folder}/x, {{base}}/{folder}/x") == []


def test_no_file_names_a_path_of_a_machine() -> None:
    texts = {path.relative_to(ROOT).as_posix(): path.read_bytes().decode("utf-8", "replace") for path in kept_files()}
    assert "pyproject.toml" in texts
    assert broken(paths_of_a_machine, texts) == []


# Arrows: each contract of import-linter, and an import or a module that breaks it.

PLANTS: Mapping[str, tuple[str, str]] = {
    "Services know nothing of being tested": ("engine/relay/keys.py", "import simulator.clock"),
    "A world knows neither services nor those who look at them": ("simulator/clock.py", "import characterization.state"),
    "Lenses never import a service: they see it only through a subject":
        ("characterization/lenses/time.py", "import engine.relay.store"),
    "Reports render values, and reach neither services nor worlds": ("reports/words.py", "import simulator.world"),
    "Every module of a world has its place, and looks only downwards": ("simulator/without_a_place.py", ""),
    "Every module of characterization has its place, and looks only downwards":
        ("characterization/renaming.py", "import characterization.outcome"),
}  # fmt: skip


def lint_imports(folder: Path) -> tuple[int, str]:
    """The exit code of ``lint-imports`` in ``folder``, and what it printed."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"]
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return finished.returncode, finished.stdout + finished.stderr


def roots() -> list[str]:
    """The packages that import-linter looks at."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return list(settings["tool"]["importlinter"]["root_packages"])


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The sources that contracts are about, with the contracts, where something may be planted."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in roots():
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "baselines"))
    return tmp_path


def test_every_contract_has_a_plant() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert {contract["name"] for contract in settings["tool"]["importlinter"]["contracts"]} == set(PLANTS)


def test_the_contracts_are_kept(copied: Path) -> None:
    code, printed = lint_imports(copied)
    assert code == 0, printed
    assert [name for name in PLANTS if f"{name} KEPT" not in printed] == []


@pytest.mark.parametrize("contract", PLANTS)
def test_a_planted_import_breaks_the_contract(contract: str, copied: Path) -> None:
    file, line = PLANTS[contract]
    planted = copied / file
    before = planted.read_text(encoding="utf-8") if planted.exists() else '"""Nobody gave it a place."""\n'
    planted.write_text(f"{before}\n{line}\n", encoding="utf-8")
    code, printed = lint_imports(copied)
    assert code == 1, printed
    assert f"{contract} BROKEN" in printed
