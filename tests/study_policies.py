"""Policies for tests of studies: quick ones, and ones that take their process along.

The quick ones give every set-point themselves, so that no solver is asked and a day takes some hundredths of a second.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from dispatch.baselines import Uncontrolled
from sim.contracts import Forecast, Schedule, Site, Snapshot


class Full(Uncontrolled):
    """Every plugged car draws a share of its full power: all of it."""

    share = 1.0

    def start(self, site: Site) -> None:
        """Note the site, and where a test counts them, this start."""
        super().start(site)
        if log := os.environ.get("VOLTWALK_TEST_STARTS"):
            with Path(log).open("a") as file:
                file.write(f"{os.getpid()}\n")
        time.sleep(float(os.environ.get("VOLTWALK_TEST_SLEEP", "0")))

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Set-points of everything."""
        self.misbehave()
        assert self._site is not None
        plugged_kw = np.where(snapshot.cars.is_plugged, snapshot.cars.charge_limit_kw, 0.0)
        return Schedule(
            car_power_kw=self.share * plugged_kw,
            battery_power_kw=np.zeros(len(self._site.battery_region_index)),
            turbine_kw=np.zeros(self._site.n_regions),
        )

    def misbehave(self) -> None:
        """Do not."""


class Half(Full):
    """Half of it."""

    share = 0.5


class Killed(Full):
    """Takes its process along."""

    def misbehave(self) -> None:
        """As the kernel does when memory is short."""
        os.kill(os.getpid(), signal.SIGKILL)


class KilledOnce(Full):
    """Takes one process along, the first that comes."""

    def misbehave(self) -> None:
        """Leave a mark, so that it is once."""
        try:
            Path(os.environ["VOLTWALK_TEST_KILL"]).touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


class Ended(Full):
    """Ends its process."""

    def misbehave(self) -> None:
        """As a broken extension module does."""
        os._exit(3)


class Exits(Full):
    """Asks its process to end."""

    def misbehave(self) -> None:
        """As a script does."""
        sys.exit("that is all")


class OddError(Exception):
    """An exception that cannot be unpickled."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class Raises(Full):
    """Raises what cannot be sent."""

    def misbehave(self) -> None:
        """As some libraries do."""
        raise OddError(1, 2)


class Sleeps(Full):
    """Never comes to an end, without work."""

    def misbehave(self) -> None:
        """Wait."""
        time.sleep(3600.0)


class Spins(Full):
    """Never comes to an end, at full work."""

    def misbehave(self) -> None:
        """Compute."""
        while True:
            np.linalg.inv(np.eye(100))


class Deaf(Sleeps):
    """Cannot be asked to end."""

    def misbehave(self) -> None:
        """Wait, come what may."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        super().misbehave()


class Threads(Full):
    """Fails unless the numerical libraries have one thread each."""

    def misbehave(self) -> None:
        """Look."""
        from threadpoolctl import threadpool_info

        counts = {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}
        assert set(counts.values()) == {1}, counts
        assert {os.environ[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")} == {"1"}
