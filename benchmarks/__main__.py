"""Measure everything and write ``benchmarks/results.md``: ``python -m benchmarks [section ...] [--fleets N]``."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

from benchmarks.feeder import feeder_tables
from benchmarks.horizon import horizon_table
from benchmarks.intervals import intervals_tables
from benchmarks.measure import run_command
from benchmarks.policies import fleets, summary
from benchmarks.study import study_tables
from benchmarks.study_memory import memory_table
from benchmarks.travel import travel_table
from experiments.provenance import package_versions

SEASONS = ("2016-01-20", "2016-04-20", "2016-07-20", "2016-10-19")
RESULTS = Path(__file__).parent / "results.md"


def days(_: argparse.Namespace) -> Iterator[str]:
    """100 cars, one day, 96 exact decisions: whole command with tables and report, four seasonal days."""
    yield "| day | forecaster | command, s | decisions, s | worst decision, s | fallbacks | largest gap | peak MB |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|"
    for kind in ("persistence", "perfect"):
        for day in SEASONS:
            one = run_command("multi-microgrid", [f"simulation.start={day}", f"forecast.kind={kind}"])
            yield (
                f"| {day} | {kind} | {one.seconds:.2f} | {one.decision_seconds:.2f} | {one.worst_decision_seconds:.3f} "
                f"| {one.n_fallbacks} | {one.largest_gap:.1e} | {one.peak_mb:.0f} |"
            )


def cold(_: argparse.Namespace) -> Iterator[str]:
    """The same days with the program rebuilt and solved cold at each step."""
    yield "| day | forecaster | decisions, s | worst decision, s |\n|---|---|---:|---:|"
    for kind in ("persistence", "perfect"):
        for day in SEASONS:
            settings = [f"simulation.start={day}", f"forecast.kind={kind}", "output.report=false"]
            one = run_command("multi-microgrid", settings, module="benchmarks.cold")
            yield f"| {day} | {kind} | {one.decision_seconds:.2f} | {one.worst_decision_seconds:.3f} |"


def thousand(_: argparse.Namespace) -> Iterator[str]:
    """1,000 cars, one day."""
    yield "| forecaster | command, s | decisions, s | worst decision, s | fallbacks | largest gap | peak MB |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for kind in ("persistence", "perfect"):
        one = run_command("multi-microgrid", ["fleet.size=1000", f"forecast.kind={kind}"])
        yield (
            f"| {kind} | {one.seconds:.1f} | {one.decision_seconds:.1f} | {one.worst_decision_seconds:.2f} "
            f"| {one.n_fallbacks} | {one.largest_gap:.1e} | {one.peak_mb:.0f} |"
        )


def uncontrolled(_: argparse.Namespace) -> Iterator[str]:
    """Uncontrolled days with all tables: growth from 1,000 to 30,000 cars."""
    yield "| cars | command, s | peak MB | segments | ms per car | kB per car |\n|---:|---:|---:|---:|---:|---:|"
    base = run_command("multi-microgrid", ["fleet.size=0", "dispatch.policy=uncontrolled"])
    for size in (1_000, 3_000, 10_000, 30_000):
        one = run_command("multi-microgrid", [f"fleet.size={size}", "dispatch.policy=uncontrolled"])
        yield (
            f"| {size:,} | {one.seconds:.2f} | {one.peak_mb:.0f} | {one.n_segments:,} "
            f"| {(one.seconds - base.seconds) / size * 1e3:.3f} | {(one.peak_mb - base.peak_mb) / size * 1e3:.1f} |"
        )
    yield f"\nPer car: above a fleet of none, which takes {base.seconds:.2f} s and {base.peak_mb:.0f} MB."


def travel(_: argparse.Namespace) -> Iterator[str]:
    """Sampled travel beside targets and survey."""
    yield from travel_table()


def policies(arguments: argparse.Namespace) -> Iterator[str]:
    """Three policies over many fleets, both forecasters."""
    yield from summary(fleets(arguments.fleets, workers=os.cpu_count() or 1))


def throughput(_: argparse.Namespace) -> Iterator[str]:
    """Zero throughput price on 100 cars: the gap of each treatment of exclusivity, on a windy day (seed 3)."""
    yield "| forecaster | treatment | decisions, s | worst, s | largest gap | fallbacks |"
    yield "|---|---|---:|---:|---:|---:|"
    for kind, treatment in product(("persistence", "perfect"), ("repair", "milp")):
        settings = ["economics.throughput_price_per_kwh=0", f"dispatch.exclusivity={treatment}"]
        settings += ["simulation.seed=3", "output.report=false", f"forecast.kind={kind}"]
        one = run_command("multi-microgrid", settings)
        yield (
            f"| {kind} | {treatment} | {one.decision_seconds:.1f} | {one.worst_decision_seconds:.2f} "
            f"| {one.largest_gap:.1e} | {one.n_fallbacks} |"
        )


def horizon(_: argparse.Namespace) -> Iterator[str]:
    """Perfect forecasts: shrinking horizon and 24 h ahead beside the day-ahead optimum, 100 cars, turbines off."""
    yield from horizon_table(range(1, 4))


def intervals(_: argparse.Namespace) -> Iterator[str]:
    """95 % intervals of a study beside the mean of 1,000 other replications, and where stopping rules stop."""
    yield from intervals_tables()


def memory(_: argparse.Namespace) -> Iterator[str]:
    """Memory, open handles and temporary files of a study of 500 short replications, two policies, two workers."""
    yield from memory_table()


def feeder(_: argparse.Namespace) -> Iterator[str]:
    """The 33-bus feeder: a year of AC power flows, days of 300 cars every 15 minutes decided anew, sites of storage."""
    yield from feeder_tables()


def study(_: argparse.Namespace) -> Iterator[str]:
    """Monte Carlo studies as whole commands, policy rolling, start-up and report included: engines and what they add.

    Overhead is worker time per replication that was not spent simulating.
    """
    yield from study_tables()


SECTIONS: dict[str, Callable[[argparse.Namespace], Iterator[str]]] = {
    "days": days,
    "cold": cold,
    "thousand": thousand,
    "uncontrolled": uncontrolled,
    "throughput": throughput,
    "horizon": horizon,
    "travel": travel,
    "policies": policies,
    "feeder": feeder,
    "study": study,
    "intervals": intervals,
    "memory": memory,
}


def main() -> None:
    """Run the sections asked for (all, by default) and write their tables."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}; all by default")
    parser.add_argument("--fleets", type=int, default=20, help="fleets of the section `policies`")
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - set(SECTIONS):
        parser.error(f"unknown sections: {', '.join(sorted(unknown))}")
    versions = ", ".join(f"{name} {version}" for name, version in package_versions().items())
    pages = {name: "" for name in SECTIONS} | _read_results()
    for name in arguments.sections or SECTIONS:
        lines = [f"## {name}\n\n{SECTIONS[name].__doc__}\n"]
        print(lines[0], flush=True)
        for line in SECTIONS[name](arguments):
            print(line, flush=True)
            lines.append(line)
        pages[name] = "\n".join(
            [*lines, f"\n<sub>{os.cpu_count()} cores, {platform.machine()}; {versions}</sub>\n"]
        )
        RESULTS.write_text("# Measured\n\n" + "\n".join(filter(None, pages.values())), encoding="utf-8")


def _read_results() -> dict[str, str]:
    """Sections of the page as it stands, so that one can be measured again alone."""
    if not RESULTS.exists():
        return {}
    parts = RESULTS.read_text(encoding="utf-8").split("\n## ")[1:]
    return {part.split("\n", 1)[0]: "## " + part.strip() + "\n" for part in parts}


if __name__ == "__main__":
    main()
