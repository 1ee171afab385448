"""What a study holds does not grow with its replications."""

from __future__ import annotations

import pytest

from benchmarks.study_memory import held_by_a_study


@pytest.mark.slow
def test_memory_handles_and_temporary_files_are_flat() -> None:
    """After six times as many replications parent and workers hold a few per cent more at most, and no more files.

    The first look is when each worker has done twenty: until then caches fill, by as much as the few per cent.
    """
    early, late = held_by_a_study((40, 240))
    assert late.parent_peak_mb < 1.05 * early.parent_peak_mb
    assert late.worker_peak_mb < 1.05 * early.worker_peak_mb
    assert late.n_parent_handles == early.n_parent_handles
    assert late.n_worker_handles == early.n_worker_handles
    assert early.n_temporary == late.n_temporary == 0
