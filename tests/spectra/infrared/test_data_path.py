"""The way of data, from a stream to the printed spectrum, in files that a reader opens."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import zarr

import aptnn_md
from aptnn_md.spectra import InfraredSpectrum, PowerBlocks, report, spectrum_of_streams
from aptnn_md.spectra.estimation.accumulate import LagAccumulator, LagSums
from aptnn_md.spectra.sources.stream_run import StreamRun
from aptnn_md.spectra.sources.stream_signal import StreamSignal
from aptnn_md.stream import StreamHeader, StreamReader, StreamWriter

PACKAGE = Path(aptnn_md.__file__).parent
CARRIERS = (
    InfraredSpectrum,
    LagAccumulator,
    LagSums,
    PowerBlocks,
    StreamReader,
    StreamRun,
    StreamSignal,
    zarr.Array,
)
"""Objects that hold frames of the run, or what has been made of them."""

AT_MOST = 10


def carries(value: Any) -> bool:
    """Whether a value holds data of the run: frames, sums, densities, a spectrum."""
    if isinstance(value, dict):
        return any(map(carries, value.values()))
    if isinstance(value, list | tuple):
        return any(map(carries, value))
    # windows, weights and wavenumbers have one axis
    return isinstance(value, CARRIERS) or (isinstance(value, np.ndarray) and value.ndim > 1)


class Trace:
    """Files of the package whose functions are entered, and those that are handed data."""

    def __init__(self) -> None:
        self.entered: dict[str, set[str]] = defaultdict(set)
        self.with_data: dict[str, set[str]] = defaultdict(set)

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        file = Path(code.co_filename)
        if event != "call" or code.co_name == "<module>" or not file.is_relative_to(PACKAGE):
            return
        name = str(file.relative_to(PACKAGE))
        self.entered[name].add(code.co_name)
        if any(carries(frame.f_locals.get(n)) for n in code.co_varnames[: code.co_argcount]):
            self.with_data[name].add(code.co_name)


def described(files: Iterable[str]) -> str:
    return "\n".join(sorted(files))


def test_stream_to_printed_spectrum_in_ten_files(tmp_path: Path) -> None:
    """Settings and names (options, plan, windows, terms, header, ...) are not on the way: they are
    read once and never see a frame."""
    path = tmp_path / "run.zarr"
    rng = np.random.default_rng(1)
    header = StreamHeader(
        timestep=1.0, stride=2, groups=("O", "H"), n_atoms=3, volume=1000.0, temperature=300.0
    )
    with StreamWriter(path, header) as writer:
        for frame, rate in enumerate(rng.normal(size=(600, 2, 3))):
            writer.append(2 * frame, 2.0 * frame, {"bead": rate}, f_sum=np.ones(2))
    trace = Trace()
    sys.setprofile(trace)
    try:
        lines = report(spectrum_of_streams([path], 200.0))
    finally:
        sys.setprofile(None)
    assert lines[0].startswith("infrared spectrum: 1.2 ps")
    # the entry, too, which is handed a path
    way = {*trace.with_data, "spectra/infrared/of_streams.py"}
    way -= {"stream/digest.py"}  # compares what was read with its checksum, and hands nothing on
    # judge what is found, and hand no data on
    way -= {"spectra/analysis/alarms.py", "spectra/analysis/temperatures.py"}
    way -= {"spectra/estimation/block_errors.py", "spectra/estimation/slow_exchange.py"}
    assert {"stream/reader.py", "spectra/infrared/report.py"} <= way
    assert len(way) <= AT_MOST, described(way)
