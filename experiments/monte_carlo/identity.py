"""What makes two studies, or two machines, the same: scenario, factors, policies, code, packages, inputs."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from experiments.monte_carlo.contracts import Cell, Fingerprint, Setup
from experiments.monte_carlo.settings import setting
from experiments.provenance import code_version, package_versions
from experiments.shipped import locate
from sim.errors import ScenarioError
from sim.scenario import Scenario
from sim.scenario_inputs import named_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a study is; not how many replications, where they ran, or when it may stop."""

    scenario_toml: str
    seed: int
    policies: tuple[str, ...]
    factors: Mapping[str, Any]  # the factor table as given, empty when nothing is varied
    fingerprint: Fingerprint

    @property
    def scenario_hash(self) -> str:
        """Hash of the resolved base scenario."""
        return _digest(self.scenario_toml.encode())

    @property
    def digest(self) -> str:
        """Hash of scenario, policies and factors: what was asked for, whichever code answers."""
        parts = (self.scenario_toml, self.policies, dict(self.factors))
        return _digest(json.dumps(parts, default=str).encode())


def fingerprint_of(policies: Sequence[str], files: Iterable[str]) -> Fingerprint:
    """Fingerprint of this process for a study of some policies and input files."""
    return Fingerprint(
        code_version=code_version(),
        packages=package_versions(),
        policies={policy: _policy_hash(policy) for policy in policies if ":" in policy},
        inputs={file: _input_hash(file) for file in sorted(set(files))},
    )


def own_fingerprint(setup: Setup) -> Fingerprint:
    """Fingerprint of this process for a study planned elsewhere."""
    return fingerprint_of(tuple(setup.fingerprint.policies), setup.fingerprint.inputs)


def input_files(base: Scenario, cells: Iterable[Cell], policy: str) -> set[str]:
    """Every file that some run of a study reads, as the scenarios name it."""
    return {file for cell in cells for _, file in named_files(setting(base, cell.levels, policy))}


def fingerprint_faults(study: Fingerprint, here: Fingerprint) -> list[str]:
    """One line per difference, the study's side first.

    >>> a = Fingerprint(code_version="1f", packages={"numpy": "2.3"}, policies={}, inputs={})
    >>> b = Fingerprint(code_version="1f", packages={"numpy": "2.4"}, policies={}, inputs={})
    >>> fingerprint_faults(a, a), fingerprint_faults(a, b)
    ([], ['numpy 2.3 in the study, 2.4 here'])
    """
    faults = []
    if study.code_version != here.code_version:
        faults.append(f"voltwalk's code {study.code_version} in the study, {here.code_version} here")
    faults += _differences("", study.packages, here.packages)
    faults += _differences("source of policy ", study.policies, here.policies)
    faults += _differences("contents of ", study.inputs, here.inputs)
    return faults


def identity_faults(study: Identity, asked: Identity) -> list[str]:
    """One line per difference between the study in a folder and the one that was asked for."""
    faults = _table_differences(tomllib.loads(study.scenario_toml), tomllib.loads(asked.scenario_toml))
    if study.policies != asked.policies:
        faults.append(
            f"policies {', '.join(study.policies)} in the study, {', '.join(asked.policies)} asked for"
        )
    if dict(study.factors) != dict(asked.factors):
        faults += _table_differences(dict(study.factors), dict(asked.factors), "factors")
    return faults + fingerprint_faults(study.fingerprint, asked.fingerprint)


def _table_differences(study: Any, asked: Any, place: str = "") -> list[str]:
    if isinstance(study, dict) and isinstance(asked, dict):
        keys = dict.fromkeys((*study, *asked))
        return [
            fault
            for key in keys
            for fault in _table_differences(
                study.get(key), asked.get(key), f"{place}.{key}" if place else key
            )
        ]
    if isinstance(study, list) and isinstance(asked, list) and len(study) == len(asked):
        return [
            fault
            for index, (a, b) in enumerate(zip(study, asked, strict=True))
            for fault in _table_differences(a, b, f"{place}[{index}]")
        ]
    if study == asked:
        return []
    ours, theirs = ("absent" if value is None or value == {} else str(value) for value in (study, asked))
    if ours == theirs:
        ours, theirs = f"{study!r} ({type(study).__name__})", f"{asked!r} ({type(asked).__name__})"
    begin = _common(ours, theirs)
    return [f"{place} = {_short(ours, begin)} in the study, {_short(theirs, begin)} asked for"]


def _common(a: str, b: str) -> int:
    """Length of the beginning that two texts share."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _short(text: str, differs_at: int) -> str:
    """Text of at most 80 characters around the place where it differs."""
    if len(text) <= 80:
        return text
    begin = max(0, min(differs_at - 20, len(text) - 74))
    return ("..." if begin else "") + text[begin : begin + 74] + ("..." if begin + 74 < len(text) else "")


def _differences(kind: str, study: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    return [
        f"{kind}{name} {study.get(name, 'absent')} in the study, {here.get(name, 'absent')} here"
        for name in sorted({*study, *here})
        if study.get(name) != here.get(name)
    ]


@cache
def _policy_hash(policy: str) -> str:
    """Hash of the module's source as this process first saw it: a long-lived worker keeps what it has imported."""
    try:
        spec = find_spec(policy.partition(":")[0])
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return "not found"
    return _digest(Path(spec.origin).read_bytes())


def _input_hash(file: str) -> str:
    try:
        path = locate(file)
        status = path.stat()
    except (OSError, ScenarioError):
        return "not found"
    return _hash_of(str(path), status.st_mtime_ns, status.st_size)


@cache
def _hash_of(path: str, _changed_ns: int, _size: int) -> str:
    return _digest(Path(path).read_bytes())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
