"""``--html``: a page has the numbers of the tables, draws them in a browser, and loads nothing."""

from __future__ import annotations

import builtins
import html
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.browser import CHROMIUM, browse
from helpers.growing_streams import HEADER, RATES, append
from helpers.paths import EXAMPLES

from aptnn_md.cli import main
from aptnn_md.spectra import read_table
from aptnn_md.stream import StreamWriter

pytest.importorskip("plotly")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")

STREAM = EXAMPLES / "liquid_water" / "classical.zarr"
DRAWN = """[...document.querySelectorAll(".plot")].map((plot) => plot.data.map((trace) => ({
  name: trace.name, x: [...trace.x], y: [...trace.y], error: trace.customdata,
  fill: trace.fill, visible: trace.visible })))"""


def data_of(page: Path) -> dict[str, Any]:
    """What the script of a page draws."""
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL
    )
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def cells(page: Path) -> list[list[str]]:
    """Rows of all tables of a page."""
    rows = re.findall(r"<tr.*?</tr>", page.read_text(), re.DOTALL)
    return [[html.unescape(c) for c in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row)] for row in rows]


def same(trace: Mapping[str, Any], columns: Mapping[str, Any], name: str, error: str) -> None:
    """A curve of the browser has exactly the numbers of two columns of a file."""
    finite = np.isfinite(columns[name])
    np.testing.assert_array_equal(
        np.array(trace["y"], float)[finite], np.asarray(columns[name])[finite]
    )
    np.testing.assert_array_equal(
        np.array(trace["error"], float)[finite], np.asarray(columns[error])[finite]
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of an infrared spectrum and of a Raman spectrum, with the files of the same command."""
    place = tmp_path_factory.mktemp("pages")
    nu = np.linspace(1.0, 4500.0, 900)
    curve = 9000.0 * np.exp(-(((nu - 3400.0) / 180.0) ** 2))
    rows = "\n".join(f"{a:.1f},{b:.3f}" for a, b in zip(nu, curve, strict=True))
    (place / "measured.csv").write_text(f"wavenumber,n_alpha\n{rows}\n")
    words = ["spectrum", "ir", str(STREAM), "--resolution", "40", "--experiment", "water"]
    words += ["--reference", str(place / "measured.csv"), "--bands", "<b>:1500-1800"]
    words += ["--quantities", "n", "kappa", "--range", "100", "4000"]
    words += ["--out", str(place / "ir.csv"), "--band-table", str(place / "bands.csv")]
    assert main([*words, "--html", str(place / "ir.html")]) == 0
    words = ["spectrum", "raman", str(STREAM), "--resolution", "40", "--bands", "OH:2800-4000"]
    words += ["--laser", "532nm", "--out", str(place / "raman.csv")]
    assert main([*words, "--html", str(place / "raman.html")]) == 0
    words = ["spectrum", "compare", str(STREAM), str(STREAM.with_name("trpmd.zarr"))]
    words += ["--names", "classical", "TRPMD", "--difference", "--resolution", "100"]
    words += ["--bands", "OH:2800-4000", "--out", str(place / "both.csv")]
    assert main([*words, "--html", str(place / "both.html")]) == 0
    return place


@pytest.mark.thorough
def test_a_page_contains_the_files_of_the_same_command(made: Path) -> None:
    page = data_of(made / "ir.html")
    assert page["table"] == (made / "ir.csv").read_text()
    assert page["bands"] == (made / "bands.csv").read_text()
    assert data_of(made / "raman.html")["table"] == (made / "raman.csv").read_text()
    assert page["limits"] == [100.0, 4000.0]
    text = (made / "ir.html").read_text()
    assert html.escape("provenance: aptnn-md spectrum ir") in text
    assert "<b>" not in text.partition("<script>")[0]  # names of bands are text


@pytest.mark.thorough
def test_tables_of_a_page_have_the_numbers_of_the_report(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["spectrum", "ir", str(STREAM), "--resolution", "40", "--experiment", "water"]
    assert main([*words, "--range", "100", "4000"]) == 0
    printed = [re.split(r"\s{2,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    rows = cells(made / "ir.html")
    shown = {tuple(row[:2]) for row in rows if len(row) > 1}
    numbers = [row for row in printed if row[0] in ("centroid (cm⁻¹)", "integral (10³ cm⁻²)")]
    assert len(numbers) >= 8
    for row in numbers:
        if "±" in row[1]:
            assert tuple(row[:2]) in shown, row
    assert ["<b>, 1500-1800 cm⁻¹"] in rows
    assert [row[0] for row in rows if row[0] == "total"] == ["total"]


def test_convergence_of_a_page_ends_with_the_whole_run(made: Path) -> None:
    points = data_of(made / "ir.html")["convergence"]
    assert len(points) > 5
    columns, _ = read_table(made / "ir.csv")
    assert points[-1][0] == pytest.approx(20.002)
    error, value = columns["standard error (cm^-1)"].sum(), columns["n*alpha (cm^-1)"].sum()
    assert points[-1][1] == pytest.approx(100.0 * error / value, rel=0.02)
    assert points[0][1] > 1.3 * points[-1][1]
    assert len(data_of(made / "raman.html")["convergence"]) > 5


@pytest.mark.thorough
@needs_chromium
def test_a_browser_draws_the_numbers_of_the_table(made: Path, tmp_path: Path) -> None:
    plots, console = browse(made / "ir.html", DRAWN, tmp_path)
    assert console == []
    assert len(plots) == 6  # spectrum, groups, cross terms, n, κ, convergence
    columns, _ = read_table(made / "ir.csv")
    traces = {trace["name"]: trace for plot in plots for trace in plot if trace.get("name")}
    total = traces["simulation ± 1 standard error"]
    np.testing.assert_array_equal(total["x"], columns["wavenumber (cm^-1)"])
    same(total, columns, "n*alpha (cm^-1)", "standard error (cm^-1)")
    for part in ("libration", "translation × vibration"):
        plain = part.replace("×", "x")
        same(traces[part], columns, f"{plain} (cm^-1)", f"{plain} standard error (cm^-1)")
    same(traces["κ"], columns, "kappa", "kappa standard error")
    assert max(traces["measured"]["y"]) == pytest.approx(9000.0, rel=1e-3)
    assert traces["maxima of liquid water, 25 °C; Bertie & Lan, Appl. Spectrosc. 50, 1047 (1996)"][
        "x"
    ] == [181.0, 616.0, 1643.0, 3392.0]
    band = next(trace for trace in plots[0] if trace["fill"] == "toself")
    n = len(total["x"])
    assert len(band["y"]) == 2 * n
    np.testing.assert_allclose(band["y"][:n], np.array(total["y"]) + total["error"])
    np.testing.assert_allclose(band["y"][: n - 1 : -1], np.array(total["y"]) - total["error"])


@pytest.mark.thorough
@needs_chromium
def test_a_browser_draws_a_raman_spectrum(made: Path, tmp_path: Path) -> None:
    plots, console = browse(made / "raman.html", DRAWN, tmp_path)
    assert console == []
    columns, _ = read_table(made / "raman.csv")
    traces = {trace["name"]: trace for plot in plots for trace in plot if trace.get("name")}
    unit = "(cm^2/sr per cm^-1)"
    for curve, column in (
        ("polarised VV 45a² + 4γ²", "polarised VV 45a^2 + 4gamma^2"),
        ("vibration", "vibration isotropic 45a^2"),
    ):
        same(traces[curve], columns, f"{column} {unit}", f"{column} standard error {unit}")
    same(
        traces["depolarisation ratio"],
        columns,
        "depolarisation ratio",
        "depolarisation ratio standard error",
    )


@pytest.mark.thorough
@needs_chromium
def test_a_browser_draws_a_comparison(made: Path, tmp_path: Path) -> None:
    plots, console = browse(made / "both.html", DRAWN, tmp_path)
    assert console == []
    columns, _ = read_table(made / "both.csv")
    assert data_of(made / "both.html")["table"] == (made / "both.csv").read_text()
    traces = {trace["name"]: trace for plot in plots for trace in plot if trace.get("name")}
    for name in ("classical", "TRPMD", "TRPMD - classical"):
        same(traces[name], columns, f"{name} (cm^-1)", f"{name} standard error (cm^-1)")
    titles = [row[0] for row in cells(made / "both.html")]
    assert "difference of centroids (cm⁻¹)" in titles
    assert "OH, 2800-4000 cm⁻¹" in titles


@pytest.mark.thorough
@needs_chromium
def test_a_curve_of_the_reader_is_scaled_to_the_simulation(made: Path, tmp_path: Path) -> None:
    """A file with a third of our numbers, in another order of wavenumbers."""
    columns, _ = read_table(made / "ir.csv")
    nu, values = columns["wavenumber (cm^-1)"][::-1], columns["n*alpha (cm^-1)"][::-1] / 3.0
    text = "nu;I\n" + "\n".join(f"{a:.10g};{b:.10g}" for a, b in zip(nu, values, strict=True))
    expression = f"""(() => {{
      const input = document.getElementById("own"), choice = new DataTransfer();
      const file = new File([""], "mine.csv");
      // read at once, so that the test need not wait
      file.text = () => ({{ then: (next) => next({json.dumps(text)}) }});
      Object.defineProperty(input, "files", {{ value: [file] }});
      input.dispatchEvent(new Event("change"));
      const traces = document.getElementById("panel-0").data, last = traces[traces.length - 1];
      return {{ name: last.name, y: [...last.y],
        says: document.getElementById("own-says").textContent }};
    }})()"""
    found, console = browse(made / "ir.html", expression, tmp_path)
    assert console == []
    assert found["name"] == "mine.csv"
    assert found["says"] == "mine.csv, multiplied by 3.000 to fit"
    np.testing.assert_allclose(found["y"], columns["n*alpha (cm^-1)"], rtol=1e-8)


@pytest.mark.thorough
@needs_chromium
def test_plots_zoom_together_and_cannot_be_uploaded(made: Path, tmp_path: Path) -> None:
    expression = """(() => {
      const plots = [...document.querySelectorAll(".plot")];
      Plotly.relayout(plots[0], { "xaxis.range[0]": 1500, "xaxis.range[1]": 1800 });
      return { ranges: plots.slice(0, 5).map((plot) => [...plot.layout.xaxis.range]),
        buttons: [...document.querySelectorAll("[data-title]")].map((b) => b.dataset.title) };
    })()"""
    found, console = browse(made / "ir.html", expression, tmp_path)
    assert console == []
    assert found["ranges"] == [[1500, 1800]] * 5
    assert "Download plot" in found["buttons"]
    assert not [title for title in found["buttons"] if "hare" in title or "loud" in title]


@pytest.mark.thorough
@needs_chromium
def test_the_browser_of_these_tests_sees_errors_and_refuses_to_load(
    made: Path, tmp_path: Path
) -> None:
    text = (made / "ir.html").read_text()
    broken = tmp_path / "broken.html"
    broken.write_text(text.replace("Plotly.newPlot(`panel", "Plotly.nowPlot(`panel"))
    value, console = browse(broken, "1", tmp_path / "a")
    assert value is None
    assert any("nowPlot" in line for line in console)
    broken.write_text(text.replace("<body>", '<body><img src="https://example.org/x.png">'))
    value, console = browse(broken, "1", tmp_path / "b")
    assert value == 1
    assert any("Content Security Policy" in line for line in console)


def test_a_page_tells_errors_by_their_origin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two members of a model, whose rates differ by a factor; nothing is known of the potential."""
    header = replace(HEADER, estimators=("bead", "member-1", "member-2"))
    path, page = tmp_path / "run", tmp_path / "page.html"
    with StreamWriter(path, header) as writer:
        for k in range(4000):
            rate = RATES[k]
            values = {"bead": rate, "member-1": 0.9 * rate, "member-2": 1.1 * rate}
            writer.append(k, 2.0 * k, values)
    words = ["spectrum", "ir", str(path), "--resolution", "60", "--range", "0", "8000"]
    assert main([*words, "--html", str(page), "--out", str(tmp_path / "ir.csv")]) == 0
    said, header = capsys.readouterr().out, (tmp_path / "ir.csv").read_text()
    for text in (said, header, page.read_text()):
        assert "errors of the models (potential, tensors) are not in them" in text
    for text in (said, page.read_text()):
        assert "the error of the potential is not known, and not in these" in text
    (panel,) = [p for p in data_of(page)["panels"] if p["title"] == "Errors by origin"]
    statistical, tensors = panel["lines"]
    columns, _ = read_table(tmp_path / "ir.csv")
    np.testing.assert_allclose(statistical["y"], columns["standard error (cm^-1)"], rtol=1e-9)
    # twice the mean deviation of 0.81 and 1.21 from their mean
    np.testing.assert_allclose(tensors["y"], 0.4 * columns["n*alpha (cm^-1)"], rtol=1e-9)
    assert tensors["name"] == "tensors: 40.0 % of the integral"


def contents(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Of all files below, with the times of their last change."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_a_live_page_follows_the_run_and_only_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run grows twice while it is followed, then the reader leaves."""
    path, page = tmp_path / "run", tmp_path / "live.html"
    seen: list[str] = []
    monkeypatch.setattr("aptnn_md.spectra.convergence.monitor.time.sleep", lambda _: grow())
    with StreamWriter(path, HEADER) as writer:
        append(writer, 0, 2000)

        def grow() -> None:
            """In place of waiting: look at the page, then let the run go on."""
            seen.append(page.read_text())
            assert contents(path) == before[-1]
            if len(seen) == 3:
                raise KeyboardInterrupt
            append(writer, 2000 * len(seen), 2000 * (len(seen) + 1))
            before.append(contents(path))

        before = [contents(path)]
        words = ["spectrum", "ir", str(path), "--resolution", "60", "--follow", "7.5"]
        assert main([*words, "--html", str(page), "--out", str(tmp_path / "ir.csv")]) == 0
    assert len(seen) == 3
    for number, text in enumerate(seen, start=1):
        assert '<meta http-equiv="refresh" content="8">' in text
        assert "The runs continue: as of " in text
        assert f"{4 * number} ps, resolution" in text
        assert text.count('id="convergence"') == (number > 1)
    final = page.read_text()
    assert 'http-equiv="refresh"' not in final
    assert "The runs continue" not in final
    assert data_of(page)["table"] == (tmp_path / "ir.csv").read_text()
    assert "page: " in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ir.csv", "live.html", "run"]


@pytest.mark.thorough
@needs_chromium
def test_a_live_page_keeps_the_zoom_when_it_is_read_again(made: Path, tmp_path: Path) -> None:
    """The range that the last reading of the page left behind."""
    text = (made / "ir.html").read_text()
    page = tmp_path / "again.html"
    remembered = (
        "<script>sessionStorage.setItem(`aptnn_md:${location.pathname}`, '[700,900]')</script>"
    )
    page.write_text(text.replace("<body>", f"<body>{remembered}"))
    expression = 'document.getElementById("panel-2").layout.xaxis.range'
    found, console = browse(page, expression, tmp_path / "profile")
    assert console == []
    assert found == [700, 900]


def test_without_plotly_nothing_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = builtins.__import__

    def refuse(name: str, *arguments: Any, **more: Any) -> Any:
        if name.split(".")[0] == "plotly":
            raise ImportError(name)
        return original(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    copy = tmp_path / "stream"
    shutil.copytree(STREAM, copy)
    shutil.rmtree(copy / "dipole_rate")  # would be found out as soon as it is read
    for kind in ("ir", "raman"):
        assert main(["spectrum", kind, str(copy), "--html", str(tmp_path / "a.html")]) == 2
        error = capsys.readouterr().err
        assert "--html: plotly: found not installed, expected pip install 'aptnn_md[report]'" in (
            error.replace("\n", " ")
        )
