"""The files that i-PI is given: in a checkout, and where a wheel puts them."""

from importlib import metadata
from pathlib import Path

import pytest
from helpers.paths import DRIVERS as FOLDER

from aptnn_md.cli import main
from aptnn_md.engines.ipi import driver_files
from aptnn_md.engines.ipi.driver_files import DRIVERS, driver_file
from aptnn_md.errors import InputError


def test_every_file_has_a_name():
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == [f"aptnn_md_{n}" for n in DRIVERS]


def test_the_command_prints_a_path(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["ipi", "--driver-file", "stream"])
    assert ended.value.code == 0
    path = Path(capsys.readouterr().out.strip())
    assert path.name == "aptnn_md_stream.py"
    assert path.read_bytes() == (FOLDER / path.name).read_bytes()


def test_files_that_a_wheel_installed_are_found(tmp_path, monkeypatch):
    """Away from the checkout, by the record of the installation."""
    site = tmp_path / "lib" / "site-packages"
    record = site / "aptnn_md-9.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: aptnn_md\nVersion: 9\n")
    (record / "RECORD").write_text("../../share/aptnn_md/drivers/aptnn_md_bec.py,,\n")
    installed = tmp_path / "share" / "aptnn_md" / "drivers" / "aptnn_md_bec.py"
    installed.parent.mkdir(parents=True)
    installed.touch()
    monkeypatch.setattr(driver_files, "__file__", str(site / "a" / "b" / "c" / "d.py"))
    monkeypatch.setattr(metadata, "files", lambda name: metadata.PathDistribution(record).files)
    assert driver_file("bec") == installed.resolve()
    with pytest.raises(InputError, match=r"aptnn_md_field.py: found no such file"):
        driver_file("field")


def test_unknown_names_are_told_the_known_ones(capsys):
    with pytest.raises(InputError, match="one of bec, field, potential, stream, tensors"):
        driver_file("apt")


@pytest.mark.ipi
@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        ("StreamPlugin", "parameters: found no stream"),
        ("PotentialDriver", "potential: found none"),
        ("TensorDriver", "model: found none"),
        ("DrivenDriver", "model: found none"),
    ],
)
def test_parameters_that_are_missing_are_named(name, parameter):
    pytest.importorskip("ipi")
    from aptnn_md.engines.ipi import pes, plugin

    driver = getattr(plugin if name == "StreamPlugin" else pes, name)
    with pytest.raises(InputError, match=parameter):
        driver(template="start.xyz") if name != "StreamPlugin" else driver()
