"""An executor without threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class SameThread(ThreadPoolExecutor):
    """Runs each call at once where it is asked for: registrations come in a fixed order, and no thread is left."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 handed on through the future, as a pool does
            future.set_exception(error)
        return future
