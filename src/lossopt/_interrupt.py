"""Interrupts that wait until everything is consistent."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interrupts:
    """While this lasts, Ctrl-C is noted, and heard at the next `check`; a second one does not wait.

    Only the main thread hears signals; elsewhere, and where SIGINT is ignored, nothing changes.
    """

    def __init__(self) -> None:
        self._before: Any = None
        self._noted: tuple[int, FrameType | None] | None = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread() and callable(signal.getsignal(signal.SIGINT)):
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        if not isinstance(error[1], KeyboardInterrupt):
            self.check()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._noted is not None:
            self._before(number, frame)
        self._noted = number, frame

    def check(self) -> None:
        """Hear what was noted."""
        if self._noted is not None:
            noted, self._noted = self._noted, None
            self._before(*noted)
