"""Days at a station, made up for tests."""

from __future__ import annotations

import numpy as np

from dispatch.station.day import StationDay, StationStorage

TARIFF = np.select(
    [
        np.isin(np.arange(24), [10, 11, 12, 13, 14, 18, 19, 20]),
        np.isin(np.arange(24), [23, 0, 1, 2, 3, 4, 5, 6]),
    ],
    [1.0044, 0.3946],
    0.6950,
)


def station_day(
    n_cars: int = 12,
    *,
    seed: int = 1,
    capacity_kwh: float = 100.0,
    steps_per_hour: int = 1,
    **changes: object,
) -> StationDay:
    """A day of hours or parts of them; stays wrap around midnight."""
    rng = np.random.default_rng(seed)
    hours = np.arange(24 * steps_per_hour) / steps_per_hour
    arrive, stay = rng.normal(17.6, 3.4, n_cars), rng.uniform(6.0, 15.0, n_cars)
    inside = np.array(
        [
            [
                max(0.0, _overlap(h, 1.0 / steps_per_hour, a % 24.0, s)) * steps_per_hour
                for a, s in zip(arrive, stay, strict=True)
            ]
            for h in hours
        ]
    ).reshape(len(hours), n_cars)
    values = {
        "step_h": 1.0 / steps_per_hour,
        "building_kw": 20.0 + 15.0 * np.exp(-(((hours - 12) / 4) ** 2)) + rng.random(len(hours)),
        "pv_kw": 60.0 * np.maximum(0.0, np.sin((hours - 6) / 12 * np.pi)) ** 2 * (hours > 6) * (hours < 18),
        "building_price_per_kwh": np.repeat(TARIFF, steps_per_hour),
        "station_price_per_kwh": np.repeat(TARIFF, steps_per_hour),
        "sell_price_per_kwh": np.full(len(hours), 0.38),
        "emission_kg_per_kwh": 0.4 + 0.2 * np.sin(hours),
        "is_grid_charging_hour": np.repeat(TARIFF < 0.5, steps_per_hour),
        "car_limit_kw": 7.6 * inside,
        "car_need_kwh": rng.uniform(10.0, 28.0, n_cars),
        "storage": StationStorage(
            capacity_kwh=capacity_kwh,
            charge_limit_kw=50.0,
            discharge_limit_kw=50.0,
            charge_efficiency=0.95,
            discharge_efficiency=0.95,
            soc_min=0.1,
            soc_max=0.9,
            initial_soc=0.5,
        ),
    }
    return StationDay(**(values | changes))  # type: ignore[arg-type]


def _overlap(begin_h: float, length_h: float, arrive_h: float, stay_h: float) -> float:
    """Hours of a step within a stay, which may go on after midnight."""
    return sum(
        max(0.0, min(begin_h + length_h, arrive_h + shift + stay_h) - max(begin_h, arrive_h + shift))
        for shift in (-24.0, 0.0)
    )
