"""A progress bar on stderr for long commands; nothing when stderr is no terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from simulator.progress import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class _Bar:
    """Draws the current stage."""

    def __init__(self, rich: RichProgress) -> None:
        self._rich = rich
        self._task: TaskID | None = None

    def stage(self, name: str, total: int) -> None:
        """Show a new stage; the one before is done."""
        if self._task is not None:
            self._rich.remove_task(self._task)
        self._task = self._rich.add_task(name, total=total)

    def advance(self, steps: int = 1) -> None:
        """Move the current stage on."""
        if self._task is not None:
            self._rich.advance(self._task, steps)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar that is gone when the block ends."""
    from rich.console import Console
    from rich.progress import Progress as RichProgress

    console = Console(stderr=True)
    with RichProgress(console=console, transient=True, disable=not console.is_terminal) as rich:
        yield _Bar(rich)
