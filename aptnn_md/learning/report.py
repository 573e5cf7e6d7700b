"""The page of a campaign: what is known, what is missing, and how long it will take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from aptnn_md.files import write_output
from aptnn_md.learning.cycle import Work
from aptnn_md.learning.directory import Stage, read_frames, system_names
from aptnn_md.learning.harmonic import ENGINE
from aptnn_md.learning.honest import HonestTest
from aptnn_md.learning.judgement import WHAT_HELPS, BandErrors, Judgement, SpectrumErrors
from aptnn_md.learning.judging import kinds_of
from aptnn_md.learning.pictures import draw_errors, draw_spectra
from aptnn_md.learning.sampling import Choice
from aptnn_md.learning.time_left import seconds_left
from aptnn_md.targets import TARGETS


def write_report(work: Work, seconds: Mapping[str, float], now: str) -> None:
    """Write ``report.md`` and its pictures anew.

    Parameters
    ----------
    work : the campaign
    seconds : that steps took
    now : the step in progress; empty at the end
    """
    directory, settings = work.directory, work.settings
    cycles = judged_cycles(work)
    ended = directory.final.judgement.exists()
    stages = [*cycles, *([directory.final] if ended else [])]
    lines = [f"# Learned models of {', '.join(system_names(settings))}", ""]
    lines += [_summary(work, now, ended), ""]
    if not ended:
        lines += [f"Time left: {_time_left(work, seconds, now)}.", ""]
    if stages:
        lines += [*_cycle_table(work, stages), "", *_table_of_systems(work, stages[-1])]
        lines += _verdict(Judgement.read(stages[-1].judgement), ended)
        pictures = _pictures(work, stages)
        lines += ["", *(f"![{path.stem}]({path.name})" for path in pictures)]
        for spectrum in Judgement.read(stages[-1].judgement).spectra:
            lines += ["", *band_lines(spectrum)]
    if ended:
        lines += ["", *_what_next(work)]
    if seconds:
        lines += [*([""] if stages else []), "| step | minutes |", "| --- | --- |"]
        lines += [f"| {step} | {value / 60.0:.1f} |" for step, value in seconds.items()]
        lines += [f"| all | {sum(seconds.values()) / 60.0:.1f} |"]
    write_output(directory.report, ("\n".join(lines) + "\n").encode())


def judged_cycles(work: Work) -> list[Stage]:
    """Stages of the cycles that were judged."""
    stages = [work.directory.cycle(n) for n in range(work.settings.cycles)]
    return [stage for stage in stages if stage.judgement.exists()]


def n_labels(stage: Stage) -> int:
    """Labelled frames on which the models of a stage were trained."""
    return len(read_frames(stage.training)) if stage.training.exists() else 0


def _summary(work: Work, now: str, ended: bool) -> str:
    settings = work.settings
    potential = "learned from its forces" if settings.learns_potential else settings.potential
    beads = settings.dynamics.beads
    nuclei = f"TRPMD of {beads} beads" if beads > 1 else "classical nuclei"
    text = f"Reference: {settings.engine}; {settings.temperature:g} K, {nuclei}; "
    text += f"potential: {potential}. "
    text += "The campaign has ended." if ended else f"Now: {now}."
    if moving := ", ".join(_with_moving_protons(work)):
        text += f" Protons move in the first dynamics of {moving}, and may in all others."
    return text


def _with_moving_protons(work: Work) -> list[str]:
    """Names of the systems whose protons are no broken and no new bonds where they move."""
    if not work.directory.first.frames.exists():
        return []
    names = system_names(work.settings)
    return [name for name, graph in zip(names, work.bonds, strict=True) if graph.moving_protons]


def _time_left(work: Work, seconds: Mapping[str, float], now: str) -> str:
    n_atoms = max(len(system) for system in work.systems)
    left = seconds_left(work.settings, n_atoms, seconds, now)
    if left is None:
        return "not known before the first training has ended"
    text = f"at most about {_duration(left)}"
    return text + ("" if now.startswith("final") else ", less if the loop stops early")


def _duration(seconds: float) -> str:
    """Minutes, or hours where there are many."""
    minutes = seconds / 60.0
    return f"{minutes:.0f} minutes" if minutes < 100.0 else f"{minutes / 60.0:.1f} hours"


def _cycle_table(work: Work, stages: Sequence[Stage]) -> list[str]:
    """A line for each stage: labels, honest test, errors of the worst spectrum."""
    head = ["stage", "labels", *_head_of_test(work), "statistical", "tensors", "potential"]
    head.append("harmonic, cm⁻¹")
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for stage in stages:
        found = Judgement.read(stage.judgement)
        cells = [stage.title, str(n_labels(stage)), *_cells_of_test(work, _test_of(stage))]
        worst = max(found.spectra, key=lambda s: s.total, default=None)
        parts = ("statistical", "tensors", "potential")
        cells += ["–" if worst is None else _percent(getattr(worst, part)) for part in parts]
        cells.append("–" if math.isnan(found.harmonic_shift) else f"{found.harmonic_shift:.0f}")
        lines.append(f"| {' | '.join(cells)} |")
    compared = "from the engine's"
    if work.settings.judging.harmonic != ENGINE:
        compared = "among the members"
    lines += [
        "",
        "Forces and tensors: root mean square errors on random frames, predicted before they were "
        "learned from. Statistical, tensors, potential: errors of the worst spectrum relative to "
        "its integral, of this stage's own runs; –: not known. Harmonic: largest difference of a "
        f"wavenumber of the normal modes {compared}.",
    ]
    lines += [f"\n{stage.title}: {rule}." for stage in stages if (rule := _rule_of(stage))]
    return lines


def _test_of(stage: Stage) -> HonestTest | None:
    return HonestTest.read(stage.honest) if stage.honest.exists() else None


def _head_of_test(work: Work) -> list[str]:
    targets = [TARGETS[name] for name in work.settings.properties]
    return ["forces, eV/Å", *(f"{t.title}, {t.unit} (of the spread)" for t in targets)]


def _cells_of_test(work: Work, test: HonestTest | None) -> list[str]:
    """Errors of an honest test, in the columns of :func:`_head_of_test`."""
    if test is None:
        return ["–"] * (1 + len(work.settings.properties))
    cells = ["–" if test.force_rmse is None else f"{test.force_rmse:.3f}"]
    for name in work.settings.properties:
        known = name in test.tensor_rmse
        relative = f"({100 * test.tensor_relative[name]:.1f} %)" if known else ""
        cells.append(f"{test.tensor_rmse[name]:.4f} {relative}" if known else "–")
    return cells


def _table_of_systems(work: Work, stage: Stage) -> list[str]:
    """The honest test of a stage by system, where there are several."""
    test = _test_of(stage)
    if test is None or not test.of_systems:
        return []
    head = [f"system ({stage.title})", "random frames", *_head_of_test(work)]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for name, of_system in test.of_systems.items():
        cells = [name, str(of_system.n_frames), *_cells_of_test(work, of_system)]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _rule_of(stage: Stage) -> str:
    """Why a cycle labelled as many frames as it did."""
    return Choice.read(stage.averages).rule if stage.averages.exists() else ""


def _verdict(found: Judgement, ended: bool) -> list[str]:
    lines = []
    for spectrum in found.spectra:
        lines.append(
            f"* {spectrum.kind} spectrum of {spectrum.system}: total error "
            f"{_percent(spectrum.total)}{spectrum.left_out}"
            + ("" if ended else " with the final dynamics")
            + "; "
            + ", ".join(f"{name} {_percent(value)}" for name, value in spectrum.parts.items())
            + f". Most of it is {spectrum.dominant}; {WHAT_HELPS[spectrum.dominant]} would "
            "reduce it."
        )
    if found.missing:
        lines += ["", "Not good enough yet:", "", *(f"* {reason}" for reason in found.missing)]
    else:
        lines += ["", "All criteria are met."]
    return lines


def band_lines(spectrum: SpectrumErrors) -> list[str]:
    """Table of the bands of a spectrum with all errors."""
    if not spectrum.bands:
        return []
    integral = f"integral, {spectrum.unit}" if spectrum.unit else "integral"
    lines = [
        f"Bands of the {spectrum.kind} spectrum of {spectrum.system}, ± total error (in brackets "
        "the statistical error and those of the tensors and of the potential; –: not known, not "
        "in the total):",
        "",
        f"| range, cm⁻¹ | {integral} | centroid, cm⁻¹ |",
        "| --- | --- | --- |",
    ]
    return lines + [_band_line(band) for band in spectrum.bands]


def _band_line(band: BandErrors) -> str:
    cells = [f"{band.low:.0f}–{band.high:.0f}"]
    for number in (band.integral, band.centroid):
        parts = (number.statistical, number.tensors, number.potential)
        inside = ", ".join(_significant(part) for part in parts)
        decimals = _decimals(number.total)
        value = f"{number.value:.{decimals}f} ± {number.total:.{decimals}f}"
        cells.append(f"{value} ({inside})")
    return f"| {' | '.join(cells)} |"


def _decimals(error: float) -> int:
    """Decimals with which an error has two figures, at least."""
    if not (math.isfinite(error) and error > 0.0):
        return 2
    return min(6, max(0, 1 - math.floor(math.log10(error))))


def _significant(error: float) -> str:
    """An error with two figures, without an exponent; a dash where it is not known."""
    if math.isnan(error):
        return "–"
    return f"{error:.{_decimals(error)}f}" if error else "0"


def _pictures(work: Work, stages: Sequence[Stage]) -> list[Path]:
    """Spectra of all stages over each other, and errors against labels; drawn after a judgement."""
    known = [(stage, Judgement.read(stage.judgement)) for stage in stages]
    rows = [(n_labels(stage), found) for stage, found in known if found.spectra]
    if not rows:
        return []
    errors = work.directory.path / "errors.png"
    old = errors.stat().st_mtime_ns if errors.exists() else 0
    new = any(stage.judgement.stat().st_mtime_ns >= old for stage in stages)
    paths = []
    for number, name in enumerate(system_names(work.settings)):
        for kind in kinds_of(work.settings):
            path = work.directory.path / f"{kind}-{name}.png"
            if new:
                measured = {stage.title: work.measured(stage, number, kind) for stage in stages}
                shown = {key: value for key, value in measured.items() if value is not None}
                draw_spectra(path, shown, work.settings.judging.wavenumbers)
            paths.append(path)
            of_errors = path.with_name(f"errors-{path.name}")
            paths += [of_errors] if of_errors.exists() else []
    if new:
        draw_errors(errors, rows)  # the last, because its age decides
    return [*paths, errors]


def _what_next(work: Work) -> list[str]:
    final = work.directory.final
    learned = work.settings.learns_potential
    potential = str(final.potential) if learned else f"'{work.settings.potential}'"
    names = system_names(work.settings)
    tables = [final.table(kind, name) for name in names for kind in kinds_of(work.settings)]
    quantum = work.settings.dynamics.beads > 1
    nuclei = ", of classical nuclei here; inputs of i-PI take them, too" if quantum else ""
    return [
        f"The models are ready for other runs{nuclei}:",
        "",
        "```sh",
        f"aptnn-md md START --potential {potential} --model {final.tensors} --stream runs --ps 100",
        f"aptnn-md spectrum ir {final.runs(0)} --plot ir.png",
        "```",
        "",
        f"Tables of the spectra: {', '.join(path.name for path in tables)}, in {final.path}.",
    ]


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{100.0 * value:.1f} %"
