"""Asynchronous calls from synchronous code, wherever that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

_T = TypeVar("_T")


class BackgroundLoop:
    """An event loop in a thread of its own, so that a notebook's loop is not in the way; runs only while asked to."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="voltwalk-cluster")
        self._runner = asyncio.Runner()
        self._cancel: Callable[[], object] = lambda: None

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run to the end; an interrupt of the waiting thread ends it early."""
        running = self._thread.submit(self._runner.run, self._as_current(coroutine))
        try:
            return running.result()
        except KeyboardInterrupt:
            self._cancel()
            raise

    async def _as_current(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        self._cancel = partial(loop.call_soon_threadsafe, task.cancel) if task else self._cancel
        return await coroutine

    def close(self) -> None:
        """End the loop and its thread."""
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()
