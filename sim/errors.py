"""Errors that a person can cause, each naming what is wrong, where, the value and the bound.

::

    VoltwalkError                  anything below; the command line prints it and exits with 2
    |-- ScenarioError              a scenario that cannot be read or does not hold together (all faults)
    |   `-- SeriesError            a time series that is missing, short, gappy or in other units
    |-- RunFolderError             a folder that is not a run, or an output folder that exists
    |-- PolicyError                an unknown policy, or a dispatcher that breaks its contract
    |   `-- ForecastLacksError     a policy that needs more of a forecast than the scenario's forecaster tells
    `-- StudyError                 factors, a rule, a study's folder or a cluster that do not serve
"""

from collections.abc import Iterable
from traceback import extract_tb


class VoltwalkError(Exception):
    """A mistake that a person can mend; its text is what the person reads."""


class ScenarioError(VoltwalkError):
    """Every fault found in a scenario, one line each.

    Parameters
    ----------
    faults
        One line per fault: place, what is wrong, the value and the bound.
    """

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults: tuple[str, ...] = tuple(faults)
        super().__init__("\n".join(self.faults))

    def __reduce__(self) -> tuple[type[VoltwalkError], tuple[tuple[str, ...]]]:
        """Pickle the faults, not the text: workers send errors to the process that began them."""
        return type(self), (self.faults,)


class SeriesError(ScenarioError):
    """A time series that is missing, short, gappy or in other units than its column says."""


class RunFolderError(VoltwalkError):
    """A folder that is not a run, or an output folder that already exists."""


class PolicyError(VoltwalkError):
    """An unknown policy, or a dispatcher that breaks its contract."""


class ForecastLacksError(PolicyError):
    """A policy that needs quantiles or paths, under a forecaster that issues none.

    Parameters
    ----------
    policy
        Its name.
    lacking
        What the forecast does not carry.
    """

    def __init__(self, policy: str, lacking: str) -> None:
        super().__init__(
            f"policy {policy}: the forecasts carry no {lacking}; choose a forecaster in `forecast` that issues them"
        )


class StudyError(VoltwalkError):
    """Factors or a rule that cannot be read, a folder of another study, a cluster that does not serve."""


def told(error: Exception | SystemExit) -> str:
    """One line about an exception of a user's own code: kind, text and place.

    >>> told(ValueError("no such car"))
    'ValueError: no such car'
    """
    text = " ".join(f"{type(error).__name__}: {error}".split())
    frames = extract_tb(error.__traceback__)
    if not frames or isinstance(error, SyntaxError):  # a syntax error's text has its place
        return text
    return f"{text} ({frames[-1].filename}, line {frames[-1].lineno})"
