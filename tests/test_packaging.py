"""What holds the house together: dependencies, entry points, a cheap import, imports that point downward."""

import ast
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:  # pytest brings it along
    import tomli as tomllib

# From top to bottom: a room of vaegan may import from itself and from those after it.
ROOMS = [
    "__main__",
    "cli",
    "workflow",
    "run",
    "testing",
    "recipe",
    "study",
    "extras",
    "evaluation",
    "inference",
    "training",
    "objectives",
    "models",
    "nn",
    "plugins",
    "domain",
    "drawing",
    "baselines",
    "metrics",
    "degradation",
    "data",
    "signal",
    "serial",
    "files",
    "errors",
]
# Likewise for the packages.
PACKAGES = ["recipes", "domains", "vaegan"]

UNWANTED = {"torchvision", "timm", "lpips", "torch-fidelity", "clean-fid", "deepinv"}
HEAVY = {"torch", "matplotlib", "skimage", "sklearn", "mne"}
UNSAFE_CALLS = {"eval", "exec", "torch.load", "pickle.load", "pickle.loads", "pickle.Unpickler"}
ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


# --- reading modules


@dataclass(frozen=True)
class Import:
    """One imported module; ``eager`` when importing the importer imports it too."""

    target: str
    line: int
    eager: bool


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


@cache
def modules() -> dict[str, Module]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = Module(name, path, ast.parse(path.read_text(encoding="utf-8"), str(path)))
    return found


def nodes(tree: ast.AST, eager: bool = True) -> Iterator[tuple[ast.AST, bool]]:
    """Every node, with whether an import runs it: not in a function, not under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for part in node.body:
                yield part, False
                yield from nodes(part, False)
            for part in node.orelse:
                yield part, eager
                yield from nodes(part, eager)
            continue
        runs = eager and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield node, runs
        yield from nodes(node, runs)


def imports(module: Module, known: dict[str, Module]) -> Iterator[Import]:
    """What a module imports; ``from p import m`` is the module ``p.m`` where there is one, else ``p``."""
    for node, eager in nodes(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, eager)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                stem = module.package.split(".")[: len(module.package.split(".")) - node.level + 1]
                base = ".".join([*stem, base] if base else stem)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield Import(inner if inner in known else base, node.lineno, eager)
        elif isinstance(node, ast.Call) and (name := dynamic_import(node)):
            yield Import(name, node.lineno, eager)


def dynamic_import(call: ast.Call) -> str | None:
    """The module that ``import_module("m")`` or ``__import__("m")`` names, if the call is one."""
    named = ast.unparse(call.func).endswith(("import_module", "__import__")) and call.args
    return str(call.args[0].value) if named and isinstance(call.args[0], ast.Constant) else None


def layer(name: str) -> int:
    """How deep a module of ours lies: a larger number may be imported by a smaller one."""
    package, *rest = name.split(".")
    depth = PACKAGES.index(package)
    if package != "vaegan" or not rest:  # vaegan itself stands on top of its rooms: it opens them lazily
        return depth
    assert rest[0] in ROOMS, (
        f"{name} is in the unknown room {rest[0]!r}; the rooms are {', '.join(ROOMS)}; "
        "put the new one where it belongs in ROOMS, at the top of tests/test_packaging.py"
    )
    return depth + 1 + ROOMS.index(rest[0])


def upward(known: dict[str, Module]) -> list[str]:
    """Imports that do not point downward."""
    wrong = []
    for module in known.values():
        for found in imports(module, known):
            if found.target.split(".")[0] not in PACKAGES:
                continue
            facade = found.target == "vaegan" and module.name.startswith("vaegan.")
            if facade or layer(found.target) < layer(module.name):
                wrong.append(f"{module.name}:{found.line} imports {found.target}")
    return wrong


def cycle(known: dict[str, Module]) -> list[str]:
    """The first cycle among imports that run when a module is imported, or nothing."""
    graph = {
        name: sorted({i.target for i in imports(module, known) if i.eager and i.target in known})
        for name, module in known.items()
    }
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for target in graph[name]:
            if target != name and (loop := visit(target, [*path, name])):
                return loop
        done.add(name)
        return []

    return next((loop for name in graph if (loop := visit(name, []))), [])


def unsafe(tree: ast.AST) -> list[int]:
    """Lines that run text or unpickle."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            pickles = any(
                k.arg == "allow_pickle" and not (isinstance(k.value, ast.Constant) and k.value.value is False)
                for k in node.keywords
            )
            # Files of weights in PyTorch's own form, whose hash is known: nothing but tensors is built from them.
            only_tensors = ast.unparse(node.func) == "torch.load" and any(
                k.arg == "weights_only" and isinstance(k.value, ast.Constant) and k.value.value is True
                for k in node.keywords
            )
            if pickles or (ast.unparse(node.func) in UNSAFE_CALLS and not only_tensors):
                lines.append(node.lineno)
        elif isinstance(node, ast.ImportFrom):
            lines += [node.lineno for alias in node.names if f"{node.module}.{alias.name}" in UNSAFE_CALLS]
    return lines


def parsed(**sources: str) -> dict[str, Module]:
    """Modules from text; the name has ``__`` for a dot."""
    names = {key.replace("__", "."): text for key, text in sources.items()}
    return {name: Module(name, Path(f"{name}.py"), ast.parse(text)) for name, text in names.items()}


# --- dependencies


def requirements(*extras: str) -> list[Requirement]:
    project = PYPROJECT["project"]
    listed = [*project["dependencies"], *(r for e in extras for r in project["optional-dependencies"][e])]
    return [Requirement(text) for text in listed]


def test_no_unwanted_dependency() -> None:
    named = {canonicalize_name(r.name) for r in requirements("dev", "docs")}
    assert "torch" in named
    assert not named & UNWANTED


def test_what_is_imported_is_declared() -> None:
    """Every third-party module imported with ours comes from a distribution that pyproject.toml names."""
    declared = {canonicalize_name(r.name) for r in requirements()}
    # Of distributions that do not list their modules (scikit-learn), Python 3.10 knows none.
    providers = {"sklearn": ["scikit-learn"], **packages_distributions()}
    missing = {}
    for name, module in modules().items():
        if name.startswith("vaegan.testing"):  # may use what the dev extra brings
            continue
        for found in imports(module, modules()):
            top = found.target.split(".")[0]
            if not found.eager or top in sys.stdlib_module_names or top in PACKAGES:
                continue
            if not declared & {canonicalize_name(d) for d in providers.get(top, [top])}:
                missing[top] = f"{name}:{found.line}"
    assert not missing, f"not in [project] dependencies of pyproject.toml: {missing}"


# --- entry points


def declared_entry_points() -> list[tuple[str, str, str]]:
    groups = {"console_scripts": PYPROJECT["project"]["scripts"], **PYPROJECT["project"]["entry-points"]}
    return [(group, name, value) for group, points in groups.items() for name, value in points.items()]


def test_entry_points_cover_domains_and_recipes() -> None:
    groups = {group for group, _, _ in declared_entry_points()}
    assert groups == {"console_scripts", "vaegan.domains", "vaegan.recipes", "vaegan.studies"}


@pytest.mark.parametrize(("group", "name", "value"), declared_entry_points(), ids=lambda text: text)
def test_entry_point_resolves(group: str, name: str, value: str) -> None:
    module, _, attribute = value.partition(":")
    assert hasattr(importlib.import_module(module), attribute), f"{group}: {name} = {value!r} has no {attribute}"
    installed = {point.value for point in entry_points(group=group) if point.name == name}
    assert value in installed, f"{name} = {value!r} is not installed; run `pip install -e .` again"


# --- importing


def test_import_is_silent_and_cheap() -> None:
    code = f"import sys, vaegan; sys.exit(', '.join(sorted({HEAVY!r} & set(sys.modules))) or 0)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_the_installation_is_found_beside_a_folder_of_its_name(tmp_path: Path) -> None:
    """Python looks first where it starts: a clone called vaegan that lies there must not be taken for the package."""
    (tmp_path / "vaegan" / "vaegan").mkdir(parents=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", "import vaegan; print(vaegan.load.__module__)"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "vaegan.run", done.stderr


# --- layers


def test_all_packages_are_seen() -> None:
    assert {name.split(".")[0] for name in modules()} == set(PACKAGES)
    assert {"vaegan", "vaegan.signal", "vaegan.errors"} <= set(modules())


def test_every_room_is_known() -> None:
    assert all(isinstance(layer(name), int) for name in modules())  # it raises for one that it does not know


def test_imports_point_downward() -> None:
    assert not upward(modules())


def test_no_import_cycle() -> None:
    assert not (loop := cycle(modules())), " -> ".join(loop)


def test_layering_would_be_noticed() -> None:
    ours = {
        "vaegan__signal": "def f():\n    from vaegan.models.vae import VAE",
        "vaegan__models__vae": "from .. import signal",
        "domains__faces": "import recipes.faces",
        "recipes__faces": "import domains.faces\nimport vaegan",
        "vaegan__data": "import vaegan\nimport importlib\nimportlib.import_module('domains.faces')",
    }
    assert sorted(upward(parsed(**ours))) == [
        "domains.faces:1 imports recipes.faces",
        "vaegan.data:1 imports vaegan",
        "vaegan.data:3 imports domains.faces",
        "vaegan.signal:2 imports vaegan.models.vae",
    ]
    with pytest.raises(AssertionError, match="unknown room 'cellar'"):
        layer("vaegan.cellar.wine")


def test_a_cycle_would_be_noticed() -> None:
    assert cycle(parsed(vaegan__a="import vaegan.b", vaegan__b="from vaegan.c import f", vaegan__c="from . import a"))
    lazy = "if TYPE_CHECKING:\n    import vaegan.a\ndef f():\n    import vaegan.a"
    assert not cycle(parsed(vaegan__a="import vaegan.b", vaegan__b=lazy))


# --- safety


def test_nothing_is_unpickled_or_evaluated() -> None:
    found = [f"{name}:{line}" for name, module in modules().items() for line in unsafe(module.tree)]
    assert not found


@pytest.mark.parametrize(
    ("text", "caught"),
    [
        ("torch.load(path)", True),
        ("torch.load(path, weights_only=False)", True),
        ("torch.load(path, weights_only=True)", False),
        ("from torch import load", True),
        ("pickle.loads(text)", True),
        ("eval('1 + 1')", True),
        ("exec(text)", True),
        ("np.load(path, allow_pickle=True)", True),
        ("np.load(path, allow_pickle=False)", False),
        ("model.eval()", False),
    ],
)
def test_unsafe_calls_would_be_noticed(text: str, caught: bool) -> None:
    assert bool(unsafe(ast.parse(text))) is caught


# --- documentation


def test_every_public_module_has_a_docstring() -> None:
    public = [m for m in modules().values() if not any(re.match("_[^_]", part) for part in m.name.split("."))]
    silent = [m.name for m in public if not ast.get_docstring(m.tree)]
    assert not silent
