"""Whether the machines of a Dask cluster are like the one that planned a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from experiments.monte_carlo.contracts import Fingerprint, Setup
from experiments.monte_carlo.identity import fingerprint_faults, own_fingerprint
from experiments.monte_carlo.work import add_module_folder
from experiments.provenance import code_version

LISTED: Final = 5
"""Machines that a message names."""

SCHEDULER: Final = "the scheduler"


def worker_fingerprint(setup: Setup) -> Fingerprint:
    """Fingerprint of the process that is asked."""
    add_module_folder(setup.module_folder)
    return own_fingerprint(setup)


async def machine_faults(client: Any, setup: Setup) -> list[str]:
    """One line for each machine that is not like the study: what differs, both versions.

    Three questions, each asked only where the one before found nothing, for it needs what that one checked: the
    protocol's version, the code's version, and all that figures depend on. The scheduler is asked the first two, for
    it reads each piece before it passes it on.

    Parameters
    ----------
    client
        Asynchronous ``distributed.Client``.

    Raises
    ------
    OSError
        When the scheduler does not answer.
    """
    versions = await client.get_versions()
    if faults := transport_faults(versions):
        return faults
    own = setup.fingerprint.code_version
    codes: dict[str, Any] = await _ask_workers(client, code_version)
    codes[SCHEDULER] = await _ask_scheduler(client)
    if faults := [f"{who}: {code_fault(own, code)}" for who, code in sorted(codes.items()) if code != own]:
        return faults
    answers = await _ask_workers(client, worker_fingerprint, setup)
    return [f"{who}: {fault}" for who, there in sorted(answers.items()) for fault in _faults(setup, there)]


async def threaded_workers(client: Any) -> list[str]:
    """Addresses of the workers that have more than one thread."""
    workers = (await client.scheduler.identity(n_workers=-1))["workers"]
    return sorted(address for address, worker in workers.items() if worker["nthreads"] > 1)


def transport_faults(versions: Mapping[str, Any]) -> list[str]:
    """Tell who runs another ``distributed``: its protocol promises nothing between versions.

    Parameters
    ----------
    versions
        Answer of ``Client.get_versions``.

    >>> here, other = ({"packages": {"distributed": version}} for version in ("2026.8.0", "2026.9.0"))
    >>> transport_faults({"client": here, "scheduler": here, "workers": {"tcp://a:1": other}})
    ['worker tcp://a:1: distributed 2026.8.0 in the study, 2026.9.0 there']
    """
    own = versions["client"]["packages"]["distributed"]
    answers = {_worker(address): answer for address, answer in versions["workers"].items()}
    answers[SCHEDULER] = versions["scheduler"]
    return [
        f"{who}: distributed {own} in the study, {there} there"
        for who, answer in sorted(answers.items())
        if (there := answer["packages"]["distributed"]) != own
    ]


def code_fault(own: str, there: object) -> str:
    """Tell how the code of another machine differs, from its version or the error that came instead.

    >>> code_fault("1f", "2e"), code_fault("1f", ImportError("no module"))
    ("voltwalk's code 1f in the study, 2e there", 'cannot import voltwalk (ImportError: no module)')
    """
    if isinstance(there, Exception):
        return f"cannot import voltwalk ({one_line(there)})"
    return f"voltwalk's code {own} in the study, {there} there"


def shortened(lines: Sequence[str]) -> list[str]:
    """Give the first lines, and how many more there are.

    >>> shortened(["a", "b"]), shortened(["a"] * 7)[-2:]
    (['a', 'b'], ['a', 'and 2 more'])
    """
    more = len(lines) - LISTED
    return [*lines[:LISTED], *([f"and {more} more"] if more > 0 else [])]


def one_line(error: Exception) -> str:
    r"""One line about an error of another machine.

    >>> one_line(OSError("no\nroute"))
    'OSError: no route'
    """
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


async def _ask_workers(client: Any, function: Any, *arguments: Any) -> dict[str, Any]:
    """Answers or errors of all workers that are still there when all have answered."""
    answers = await client.run(function, *arguments, on_error="return")
    there = (await client.scheduler.identity(n_workers=-1))["workers"]
    return {_worker(address): answer for address, answer in answers.items() if address in there}


async def _ask_scheduler(client: Any) -> str | Exception:
    try:
        return str(await client.run_on_scheduler(code_version))
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - the answer of another machine
        return error


def _faults(setup: Setup, there: Any) -> list[str]:
    if isinstance(there, Exception):
        return [f"cannot tell its versions ({one_line(there)})"]
    return ["; ".join(faults)] if (faults := fingerprint_faults(setup.fingerprint, there)) else []


def _worker(address: str) -> str:
    return f"worker {address}"
