"""Imports go downward only, and what is promised is there."""

import ast
import importlib.util
from pathlib import Path

import pytest

import aptnn_md

PACKAGE = Path(aptnn_md.__file__).parent

LAYERS = {
    "errors": 0, "arrays": 0, "units": 0, "files": 0, "progress": 0, "provenance": 0,
    "tensors": 0, "e3nn_compat": 0, "callables": 0,
    "graph": 1, "molecules": 1, "selection": 1, "motion": 1, "groups": 1, "rates": 1,
    "stream": 1, "spectra": 1, "bundled": 1, "labels": 1,
    "models": 2, "dataset": 2, "normal_modes": 2,
    "checkpoint": 3,
    "predictor": 4, "predictors": 4, "training": 4, "training_log": 4, "training_samples": 4,
    "training_job": 4, "evaluation": 4,
    "quiet_mace": 3, "mace_potential": 4, "potentials": 5,
    "tensor_models": 5, "calculator": 5, "observer": 5, "stopping": 5, "restart": 5,
    "energy_monitor": 5, "md": 5,
    "demo": 5, "ipi": 5,
    "cli": 6,
}  # fmt: skip
WITHOUT_TORCH = {"errors", "arrays", "units", "files", "progress", "provenance", "tensors"}
WITHOUT_TORCH |= {"rates", "groups", "molecules", "selection", "motion", "normal_modes", "dataset"}
WITHOUT_TORCH |= {"stream", "spectra", "labels", "callables", "cli"}
ENGINES = ("tblite", "pyscf", "phonopy")
"""Each is imported in modules of its own name only."""


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE)
        if relative.name != "__init__.py" or len(relative.parts) > 1:
            yield path, relative.parts[0].removesuffix(".py")


def imports(path, everywhere):
    """Modules imported at the top, or also inside functions; not those for type checkers."""
    tree = ast.parse(path.read_text())
    nodes = list(ast.walk(tree)) if everywhere else list(tree.body)
    for_checkers = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in nodes:
        if id(node) in for_checkers:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "aptnn_md":
                yield from (f"aptnn_md.{alias.name}" for alias in node.names)


def test_every_module_has_a_layer():
    assert {name for _, name in modules()} <= set(LAYERS)


@pytest.mark.parametrize(("path", "name"), list(modules()), ids=lambda v: str(v)[-40:])
def test_imports_go_downward(path, name):
    for module in imports(path, everywhere=True):
        parts = module.split(".")
        if parts[0] == "aptnn_md" and len(parts) > 1 and parts[1] in LAYERS:
            assert LAYERS[parts[1]] <= LAYERS[name], f"{path.name} imports {module}"


@pytest.mark.parametrize(("path", "name"), list(modules()), ids=lambda v: str(v)[-40:])
def test_numpy_layers_never_import_torch(path, name):
    if name in WITHOUT_TORCH:
        found = {module.split(".")[0] for module in imports(path, everywhere=name != "cli")}
        assert not found & {"torch", "e3nn", "mace", "ipi"}


def test_engines_are_imported_in_their_adapters_only():
    for path, name in modules():
        found = {module.split(".")[0] for module in imports(path, everywhere=True)}
        assert "mace" not in found or name in {"mace_potential", "potentials"}
        assert "ipi" not in found or name == "ipi"
        for engine in ("cffi", *ENGINES):
            own = "tblite" if engine == "cffi" else engine
            assert engine not in found or path.name.startswith(f"{own}_")


def test_all_is_there():
    for name in aptnn_md.__all__:
        assert getattr(aptnn_md, name) is not None
    for path, _ in modules():
        name = path.stem.split("_")[0]
        if name in ENGINES and importlib.util.find_spec(name) is None:
            continue
        module = importlib.import_module(
            ".".join(["aptnn_md", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(
                ".__init__"
            )
        )
        assert module.__doc__
        for name in getattr(module, "__all__", []):
            assert hasattr(module, name)
