"""What a run records step by step, and its columns for the tables of ``sim.trace``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from sim.arrays import FloatArray
from sim.clock import NEVER_S, STEP_H, STEP_S
from sim.contracts import Decision, DomainSums, Forecast, Marginals, Schedule, Site, StepEnergy
from sim.feeder.tables import network_columns
from sim.forecasting.expected import expected_stays
from sim.marginal_account import account_columns
from sim.settlement import Settled, StepTruth, reactive_demand_kvar

Columns = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _StepRow:
    """One settled step of all regions."""

    start_s: int
    truth: StepTruth
    energy: StepEnergy
    settled: Settled
    battery_kwh: FloatArray
    feed_in_cap_kw: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _ForecastRow:
    """One issued forecast with its expected stays, (K, R) each."""

    forecast: Forecast
    arrivals_n: FloatArray
    arrivals_kwh: FloatArray
    leaving_kwh: FloatArray


class Recorder:
    """Collects the rows of one run; columns are made once, at its end.

    Parameters
    ----------
    site
        Of the run; gives region names and units.
    keep_forecasts
        Whether issued forecasts are kept (they are the largest table of a short run).
    """

    def __init__(self, site: Site, *, keep_forecasts: bool) -> None:
        self._site = site
        self._keep_forecasts = keep_forecasts
        self._steps: list[_StepRow] = []
        self._domain: list[tuple[int, DomainSums]] = []
        self._decisions: list[tuple[int, Decision, float]] = []
        self._marginals: list[tuple[int, Marginals]] = []
        self._forecasts: list[_ForecastRow] = []
        self.clipped_kwh = 0.0
        """Energy by which set-points outside their limits were cut."""
        self.cut_kwh = 0.0
        """Energy of set-points that a connection kept from cars, that settlement cut, or that went over a limit."""

    def step(  # noqa: PLR0917 - what there is to know of a step
        self,
        start_s: int,
        truth: StepTruth,
        energy: StepEnergy,
        settled: Settled,
        battery_kwh: FloatArray,
        feed_in_cap_kw: FloatArray,
    ) -> None:
        """Record one settled step."""
        row = _StepRow(
            start_s=start_s,
            truth=truth,
            energy=energy,
            settled=settled,
            battery_kwh=battery_kwh.copy(),
            feed_in_cap_kw=feed_in_cap_kw,
        )
        self._steps.append(row)
        self.cut_kwh += (settled.cut_kw + float(settled.over_limit_kw.sum())) * STEP_H

    def decision(self, now_s: int, schedule: Schedule, seconds: float) -> None:
        """Record how a decision was reached."""
        self._decisions.append((now_s, schedule.decision, seconds))
        if schedule.marginals is not None:
            self._marginals.append((now_s, schedule.marginals))

    def domain(self, now_s: int, sums: DomainSums) -> None:
        """Record the capacity domain at a boundary."""
        self._domain.append((now_s, sums))

    def forecast(self, forecast: Forecast) -> None:
        """Record an issued forecast, when forecasts are kept."""
        if self._keep_forecasts:
            n, arriving, leaving = expected_stays(forecast)
            self._forecasts.append(
                _ForecastRow(forecast=forecast, arrivals_n=n, arrivals_kwh=arriving, leaving_kwh=leaving)
            )

    # -- columns -------------------------------------------------------------------------------------------

    def _regions(self, n_rows: int) -> pa.Array:
        names = pa.array(self._site.region_names, type=pa.string())
        return names.take(pa.array(np.tile(np.arange(self._site.n_regions), n_rows)))

    def grid_columns(self) -> Columns:
        """Columns of ``grid.parquet``."""
        rows, n_regions = self._steps, self._site.n_regions
        unit_region = self._site.battery_region_index

        def by_region(values: FloatArray) -> FloatArray:
            return np.bincount(unit_region, weights=values, minlength=n_regions).astype(np.float64)

        def stack(values: list[FloatArray]) -> FloatArray:
            return np.concatenate(values) if values else np.empty(0)

        cap_kw = stack([row.feed_in_cap_kw for row in rows])
        return {
            "step_start_s": np.repeat([row.start_s for row in rows], n_regions),
            "region": self._regions(len(rows)),
            "load_kw": stack([row.truth.load_kw for row in rows]),
            "unserved_kw": stack([row.settled.unserved_kw for row in rows]),
            "pv_kw": stack([row.truth.pv_kw for row in rows]),
            "pv_curtailed_kw": stack([row.settled.pv_curtailed_kw for row in rows]),
            "wind_kw": stack([row.truth.wind_kw for row in rows]),
            "wind_curtailed_kw": stack([row.settled.wind_curtailed_kw for row in rows]),
            "feed_in_cap_kw": pa.array(cap_kw, mask=np.isinf(cap_kw)),
            "turbine_kw": stack([row.settled.turbine_kw for row in rows]),
            "battery_kw": stack([by_region(row.settled.battery_kw) for row in rows]),
            "battery_energy_kwh": stack([by_region(row.battery_kwh) for row in rows]),
            "ev_charge_kw": stack([row.energy.charge_kwh / STEP_H for row in rows]),
            "ev_discharge_kw": stack([row.energy.discharge_kwh / STEP_H for row in rows]),
            "charger_kvar": stack([row.settled.charger_kvar for row in rows]),
            "import_kw": stack([row.settled.import_kw for row in rows]),
            "export_kw": stack([row.settled.export_kw for row in rows]),
            "tie_kw": stack([row.settled.tie_kw for row in rows]),
            "buy_price_per_kwh": stack([row.truth.buy_price_per_kwh for row in rows]),
            "sell_price_per_kwh": stack([row.truth.sell_price_per_kwh for row in rows]),
            "curtailment_price_per_kwh": stack([row.truth.curtailment_price_per_kwh for row in rows]),
        }

    def storage_columns(self) -> Columns:
        """Columns of ``storage.parquet``."""
        n_units = len(self._site.battery_region_index)
        names = np.array(self._site.region_names, dtype=object)[self._site.battery_region_index]
        rows = self._steps
        return {
            "step_start_s": np.repeat(np.array([row.start_s for row in rows], dtype=np.int64), n_units),
            "unit_id": np.tile(np.arange(n_units), len(rows)),
            "region": np.tile(names, len(rows)),
            "power_kw": np.array([row.settled.battery_kw for row in rows]).reshape(-1),
            "energy_kwh": np.array([row.battery_kwh for row in rows]).reshape(-1),
            "reactive_kvar": np.array([row.settled.battery_kvar for row in rows]).reshape(-1),
        }

    def tie_columns(self) -> Columns:
        """Columns of ``ties.parquet``."""
        site, rows = self._site, self._steps
        names = np.array(site.region_names, dtype=object)
        n_ties = len(site.tie_from_index)
        return {
            "step_start_s": np.repeat(np.array([row.start_s for row in rows], dtype=np.int64), n_ties),
            "from_region": np.tile(names[site.tie_from_index], len(rows)),
            "to_region": np.tile(names[site.tie_to_index], len(rows)),
            "flow_kw": np.array([row.settled.tie_flow_kw for row in rows]).reshape(-1),
            "loss_kw": np.array([row.settled.tie_loss_kw for row in rows]).reshape(-1),
        }

    def network_columns(self) -> dict[str, Columns]:
        """Columns of ``voltages.parquet`` and ``branches.parquet``."""
        network, rows = self._site.network, self._steps
        shape = (len(rows), self._site.n_regions)
        taken_kvar = [
            np.zeros(shape[1])
            if network is None
            else reactive_demand_kvar(self._site, row.truth, row.settled)
            for row in rows
        ]
        return network_columns(
            network,
            self._site.region_names,
            np.array([row.start_s for row in rows], dtype=np.int64),
            np.array([row.settled.tie_kw for row in rows]).reshape(shape),
            np.array(taken_kvar).reshape(shape),
        )

    def domain_columns(self) -> Columns:
        """Columns of ``domain.parquet``."""
        sums = [item for _, item in self._domain]
        return {
            "step_start_s": np.repeat([now_s for now_s, _ in self._domain], self._site.n_regions),
            "region": self._regions(len(sums)),
            "n_plugged": np.concatenate([item.n_plugged for item in sums]),
            "energy_kwh": np.concatenate([item.energy_kwh for item in sums]),
            "lower_kwh": np.concatenate([item.lower_kwh for item in sums]),
            "upper_kwh": np.concatenate([item.upper_kwh for item in sums]),
        }

    def decision_columns(self) -> Columns:
        """Columns of ``decisions.parquet``."""
        made = [decision for _, decision, _ in self._decisions]
        money = ("objective", "bound", "gap", "turbine_bound", "turbine_gap")
        counted = (
            "status",
            "binaries",
            "iterations",
            "fallback",
            "lowered_kwh",
            "max_overlap_kw",
            "feeder_rounds",
            "feeder_unsolved",
        )
        columns: Columns = {"step_start_s": [now_s for now_s, _, _ in self._decisions]}
        columns |= {name: [getattr(decision, name) for decision in made] for name in counted}
        columns |= {
            name: pa.array(
                [getattr(decision, name) for decision in made], type=pa.float64(), from_pandas=True
            )
            for name in money
        }
        columns["seconds"] = [seconds for _, _, seconds in self._decisions]
        return columns

    def marginal_columns(self) -> Columns:
        """Columns of ``marginals.parquet``; empty for policies that have no duals."""
        rows = self._marginals

        def joined(name: str, dtype: type) -> Any:
            parts = [getattr(marginals, name) for _, marginals in rows]
            return np.concatenate(parts) if parts else np.empty(0, dtype=dtype)

        def nullable(values: Any, absent: Any) -> pa.Array:
            return pa.array(values, mask=absent)

        vehicle_id, departure_s = joined("vehicle_id", np.int64), joined("protected_departure_s", np.int64)
        later_s = joined("best_later_step_s", np.int64)
        names = np.array(self._site.region_names, dtype=object)
        return {
            "step_start_s": np.repeat(
                np.array([now_s for now_s, _ in rows], dtype=np.int64), [len(m.vehicle_id) for _, m in rows]
            ),
            "vehicle_id": nullable(vehicle_id, vehicle_id < 0),
            "region": names[joined("region_index", np.int64)],
            "marginal_value_per_kwh": joined("value_per_kwh", np.float64),
            "binding_limit": [text for _, marginals in rows for text in marginals.binding_limit],
            "protected_departure_s": nullable(departure_s, departure_s == NEVER_S),
            "departure_dual_per_kwh": joined("departure_dual_per_kwh", np.float64),
            "best_later_step_s": nullable(later_s, later_s == NEVER_S),
            "best_later_value_per_kwh": nullable(
                joined("best_later_value_per_kwh", np.float64), later_s == NEVER_S
            ),
            **account_columns([marginals for _, marginals in rows]),
        }

    def forecast_columns(self) -> Columns:
        """Columns of ``forecasts.parquet``; empty when forecasts are not kept."""
        rows, n_regions = self._forecasts, self._site.n_regions
        lengths = [row.forecast.n_steps for row in rows]

        def flat(parts: list[FloatArray]) -> FloatArray:
            return np.concatenate([part.reshape(-1) for part in parts]) if parts else np.empty(0)

        issued = np.array([row.forecast.now_s for row in rows], dtype=np.int64)
        ahead = [np.arange(length, dtype=np.int64) * STEP_S for length in lengths]
        steps = [now_s + offset for now_s, offset in zip(issued, ahead, strict=True)]
        names = ("load_kw", "pv_kw", "wind_kw", "buy_price_per_kwh")
        return {
            "issue_step_s": np.repeat(issued, np.array(lengths, dtype=np.int64) * n_regions),
            "target_step_s": np.repeat(
                np.concatenate(steps) if steps else np.empty(0, dtype=np.int64), n_regions
            ),
            "region": self._regions(sum(lengths)),
            **{name: flat([getattr(row.forecast, name) for row in rows]) for name in names},
            "arrivals_n": flat([row.arrivals_n for row in rows]),
            "arrivals_kwh": flat([row.arrivals_kwh for row in rows]),
            "leaving_kwh": flat([row.leaving_kwh for row in rows]),
        }
