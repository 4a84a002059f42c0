"""Progress: how long work tells its shell how far it is; silent by default."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives stage starts and advances. A shell may raise from `advance` to stop the work."""

    def stage(self, name: str, total: int) -> None:
        """A stage of `total` steps begins."""
        ...

    def advance(self, steps: int = 1) -> None:
        """`steps` more steps of the current stage are done."""
        ...


class Silent:
    """Says nothing."""

    def stage(self, name: str, total: int) -> None:
        """Ignore."""

    def advance(self, steps: int = 1) -> None:
        """Ignore."""


SILENT: Progress = Silent()
