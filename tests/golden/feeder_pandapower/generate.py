"""Write ``states.csv``, random states of two feeders, and ``mv_lv.json``; needs pandapower, not this project."""

import copy
from pathlib import Path

import numpy as np
import pandapower as pp
import pandas as pd

HERE = Path(__file__).parent
SHIPPED = HERE.parents[2] / "experiments" / "data" / "feeders"
N_STATES = 25
HZ = 50.0
SOURCE_PU = {"baran_wu_33": 1.0, "mv_lv": 1.02}


def network(buses: pd.DataFrame, lines: pd.DataFrame, transformers: pd.DataFrame, source_pu: float):
    """A pandapower network of three tables; loads are set later."""
    net = pp.create_empty_network(f_hz=HZ, sn_mva=1.0)
    index = {row.bus: pp.create_bus(net, row.rated_kv, name=row.bus) for row in buses.itertuples()}
    pp.create_ext_grid(net, index[buses["bus"][0]], vm_pu=source_pu)
    for row in lines.itertuples():
        if getattr(row, "in_service", "true") == "false":
            continue
        susceptance_us = getattr(row, "b_us", 0.0)
        charging_us = 0.0 if pd.isna(susceptance_us) else susceptance_us
        ends = index[row.from_bus], index[row.to_bus]
        pp.create_line_from_parameters(
            net, *ends, 1.0, row.r_ohm, row.x_ohm, charging_us * 1e3 / (2.0 * np.pi * HZ), 1.0
        )
    for row in transformers.itertuples():
        pp.create_transformer_from_parameters(
            net,
            index[row.from_bus],
            index[row.to_bus],
            sn_mva=row.rating_kva / 1e3,
            vn_hv_kv=20.0,
            vn_lv_kv=0.4,
            vkr_percent=100.0 * row.copper_loss_kw / row.rating_kva,
            vk_percent=row.short_circuit_percent,
            pfe_kw=0.0,
            i0_percent=0.0,
        )
    for bus in index.values():
        pp.create_load(net, bus, 0.0)
    return net


def states(name: str, net, rated_kw: np.ndarray, rated_kvar: np.ndarray, names: list[str]) -> list[dict]:
    """Rows of one feeder."""
    rng = np.random.default_rng(33)
    rows = []
    for state in range(N_STATES):
        demand_kw = rated_kw * rng.uniform(-1.0, 2.0, len(rated_kw))
        demand_kvar = rated_kvar * rng.uniform(-0.5, 1.5, len(rated_kw))
        net.load["p_mw"], net.load["q_mvar"] = demand_kw / 1e3, demand_kvar / 1e3
        pp.runpp(net, tolerance_mva=1e-11, max_iteration=50, calculate_voltage_angles=True)
        for bus, kw, kvar, pu in zip(names, demand_kw, demand_kvar, net.res_bus["vm_pu"], strict=True):
            rows.append(
                {"feeder": name, "state": state, "source_pu": SOURCE_PU[name], "bus": bus}
                | {"demand_kw": kw, "demand_kvar": kvar, "voltage_pu": pu}
            )
    return rows


def write_network(net) -> None:
    """Write a network as pandapower does, without its library of types and its empty tables."""
    bare = copy.deepcopy(net)
    for name in [n for n, part in bare.items() if isinstance(part, pd.DataFrame) and part.empty]:
        del bare[name]
    bare["std_types"] = {}
    pp.to_json(bare, HERE / "mv_lv.json")


def main() -> None:
    """Write the file."""
    shipped = pd.read_csv(SHIPPED / "baran_wu_33_buses.csv", dtype={"bus": str})
    lines = pd.read_csv(SHIPPED / "baran_wu_33_lines.csv", dtype=str)
    lines[["r_ohm", "x_ohm"]] = lines[["r_ohm", "x_ohm"]].astype(float)
    net = network(shipped, lines, pd.DataFrame(), SOURCE_PU["baran_wu_33"])
    rows = states(
        "baran_wu_33",
        net,
        shipped["load_kw"].to_numpy(),
        shipped["load_kvar"].to_numpy(),
        list(shipped["bus"]),
    )
    own = {part: pd.read_csv(HERE / f"mv_lv_{part}.csv") for part in ("buses", "lines", "transformers")}
    net = network(own["buses"], own["lines"], own["transformers"], SOURCE_PU["mv_lv"])
    write_network(net)
    rated_kw = np.array([0.0, 120.0, 0.0, 110.0, 60.0, 900.0])
    rows += states("mv_lv", net, rated_kw, 0.4 * rated_kw, list(own["buses"]["bus"]))
    pd.DataFrame(rows).to_csv(HERE / "states.csv", index=False, float_format="%.12g")


if __name__ == "__main__":
    main()
