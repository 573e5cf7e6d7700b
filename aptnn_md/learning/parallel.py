"""Pieces of work of a campaign, as many at once as the executor has workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from typing import TypeVar

from aptnn_md.errors import RunError
from aptnn_md.executors import how_it_broke, workers
from aptnn_md.learning.settings import CampaignSettings

Task = TypeVar("Task")


def do_elsewhere(
    do: Callable[[Task], object], tasks: Sequence[Task], settings: CampaignSettings, what: str
) -> bool:
    """Do all tasks by the workers of the campaign; False, and nothing is done, where it has none.

    Parameters
    ----------
    do : a function of a module; what it leaves are files
    tasks : which processes can send each other
    settings : of the campaign
    what : for the message

    Raises
    ------
    RunError
        A process died.
    """
    if not tasks:
        return True
    with workers(settings.executor, min(settings.jobs, len(tasks))) as (executor, _):
        if executor is None:
            return False
        futures = [executor.submit(do, task) for task in tasks]
        try:
            for future in futures:
                future.result()
        except BrokenExecutor as error:
            text = f"{what}: {how_it_broke(error)}; the same command resumes where it stopped"
            raise RunError(text) from error
    return True
