"""Simulated time: integer seconds since the scenario's start, in steps of 15 minutes.

Day -1 (86,400 s before the start) exists so that there is a yesterday; tables hold day 0 onwards.
"""

from typing import Final

STEP_S: Final = 900
DAY_S: Final = 86_400
STEPS_PER_DAY: Final = DAY_S // STEP_S
STEP_H: Final = STEP_S / 3600.0
NEVER_S: Final = 1 << 60
"""An instant that no run reaches: the departure of a car that declares none."""


def step_index(instant_s: int) -> int:
    """Index of the step that holds an instant; step k is [900 k, 900 (k + 1)).

    >>> step_index(0), step_index(899), step_index(900), step_index(-1)
    (0, 0, 1, -1)
    """
    return instant_s // STEP_S


def day_index(instant_s: int) -> int:
    """Day that holds an instant; day 0 begins at the scenario's start.

    >>> day_index(0), day_index(86_399), day_index(-1)
    (0, 0, -1)
    """
    return instant_s // DAY_S


def label(instant_s: int) -> str:
    """Readable instant: ``HH:MM`` on day 0, ``D+HH:MM`` on later days.

    >>> label(29_700), label(86_400 + 3_600), label(29_701)
    ('08:15', '1+01:00', '08:15:01')
    """
    day, rest = divmod(instant_s, DAY_S)
    hours, minutes, seconds = rest // 3600, rest % 3600 // 60, rest % 60
    text = f"{hours:02d}:{minutes:02d}" + (f":{seconds:02d}" if seconds else "")
    return text if day == 0 else f"{day}+{text}"
