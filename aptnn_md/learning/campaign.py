"""A campaign: cycles until the spectrum is known, then the final training, dynamics and spectra."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from aptnn_md.errors import InputError
from aptnn_md.learning.cycle import Work
from aptnn_md.learning.directory import CampaignDirectory
from aptnn_md.learning.documents import read_document, write_document
from aptnn_md.learning.judgement import Judgement
from aptnn_md.learning.report import write_report
from aptnn_md.learning.seals import FrameSeals
from aptnn_md.learning.settings import CampaignSettings
from aptnn_md.locks import DirectoryLock
from aptnn_md.progress import log


class StepTimes:
    """Seconds that steps took, over all processes that worked on a campaign.

    Parameters
    ----------
    path : file
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds: dict[str, float] = {}
        if path.exists():
            # no result depends on them, so damage is not worth ending for
            with suppress(InputError, ValueError, TypeError):
                found = read_document(path, "times", "seconds of each step")
                self.seconds = {name: float(value) for name, value in found.items()}
        self._now, self._since = "", time.monotonic()

    def begins(self, step: str) -> None:
        """A step begins, the one before has ended."""
        self.ends()
        self._now = step

    def ends(self) -> None:
        """The present step has ended."""
        if self._now:
            self.seconds[self._now] = self.seconds.get(self._now, 0.0) + self._elapsed()
            write_document(self.path, self.seconds)
        self._now, self._since = "", time.monotonic()

    def _elapsed(self) -> float:
        return time.monotonic() - self._since


def run_campaign(settings: CampaignSettings) -> Judgement:
    """Begin or resume a campaign, to its end; one that has ended is only read.

    Returns
    -------
    The judgement of the final spectra.

    Raises
    ------
    InputError
        Settings of another campaign, a damaged file, or another process at work in the same
        directory.
    RunError
        The models are not good enough for dynamics, or a process died; the same command resumes.
    """
    directory = CampaignDirectory(settings.out)
    if settings.out.exists() and not settings.out.is_dir():
        raise InputError(settings.out, "out", "a file", "a directory, new or of this campaign")
    directory.path.mkdir(parents=True, exist_ok=True)
    with DirectoryLock(directory.path, "campaign", "another process"):
        systems = directory.open(settings)
        if directory.final.judgement.exists():
            return Judgement.read(directory.final.judgement)
        seals = FrameSeals(directory)
        seals.check()
        times = StepTimes(directory.times)

        def begins(step: str) -> None:
            seals.add()
            times.begins(step)
            log.info("%s", step)
            write_report(work, times.seconds, step)

        work = Work(settings, directory, systems, begins, times.seconds, seals)
        work.first_frames()
        n_cycles = _cycles(work)
        found = work.end(n_cycles)
        times.ends()
        write_report(work, times.seconds, "")
        return found


def _cycles(work: Work) -> int:
    """Make cycles until a judgement finds the models good enough; their number."""
    for number in range(work.settings.cycles):
        found = work.cycle(number)
        for reason in found.missing:
            log.info("cycle %d: %s", number + 1, reason)
        if found.models_good:
            what = "nothing but longer dynamics" if found.missing else "nothing"
            log.info("cycle %d: %s is missing", number + 1, what)
            return number + 1
    return work.settings.cycles
