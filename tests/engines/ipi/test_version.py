"""Names of i-PI that are relied on are looked up before a run."""

import pytest

pytest.importorskip("ipi")

from ipi.engine import outputs
from ipi.engine.simulation import Simulation
from ipi.utils.softexit import Softexit

from aptnn_md.engines.ipi.version import check_names, require_ipi
from aptnn_md.errors import RunError

pytestmark = pytest.mark.ipi


def test_the_installed_one_has_all():
    assert require_ipi()


def test_a_newer_one_that_lacks_names_is_refused(monkeypatch):
    monkeypatch.delattr(Simulation, "write_outputs")
    monkeypatch.delattr(Softexit, "cleanup")
    with pytest.raises(RunError, match=r"i-PI 9\.0 has no Simulation\.write_outputs, Softexit\.cl"):
        check_names("9.0")


@pytest.mark.thorough
def test_attributes_of_instances_and_parameters(monkeypatch):
    class CheckpointOutput:
        """One without ``_continued`` and without ``store``."""

        def __init__(self):
            self.filename, self.overwrite, self.step, self.status = "", True, 0, None

        def active(self):
            """Yes."""

        def write(self):
            """Nothing."""

    monkeypatch.setattr(outputs, "CheckpointOutput", CheckpointOutput)
    with pytest.raises(RunError) as found:
        check_names("9.0")
    said = str(found.value)
    assert "CheckpointOutput._continued" in said
    assert "CheckpointOutput.write(store)" in said
    assert 'pip install "ipi==3.3.1"' in said
    monkeypatch.delattr(outputs, "CheckpointOutput")
    with pytest.raises(RunError, match=r"has no ipi\.engine\.outputs\.CheckpointOutput, "):
        check_names("9.0")
