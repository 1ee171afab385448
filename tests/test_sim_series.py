"""Series come to the scenario's clock at the right hour and in the right unit; faults are told row by row."""

import csv
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from time import process_time
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pvlib
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.shipped import data_files, load_scenario, locate
from sim.arrays import FloatArray
from sim.errors import SeriesError
from sim.scenario import LoadMix, SeriesRef
from sim.scenario_inputs import check_inputs, series_inputs
from sim.series import Span, read_mix, read_series, scenario_span
from sim.series_time import epoch_s, second_of_year, standard_offset_s, wall_to_utc

Row = tuple[str, object]


def reference(**changes: object) -> SeriesRef:
    """Hourly clock hours in ``a.csv``, held, with some entries changed."""
    entries: dict[str, object] = {
        "file": "a.csv",
        "column": "load_kw",
        "time_column": "time",
        "step_minutes": 60,
        "zone": "scenario",
        "stamp": "beginning",
        "to_quarter_hours": "hold",
        "wrap": "none",
    }
    return SeriesRef.model_validate(entries | changes)


def span(start: str, *, zone: str = "Europe/Berlin", first_step: int = 0, n_steps: int = 96) -> Span:
    """Quarter hours of a day."""
    return Span(start=date.fromisoformat(start), time_zone=zone, first_step=first_step, n_steps=n_steps)


def hours(start: str, n: int) -> list[str]:
    """Clock hours from an instant on."""
    first = datetime.fromisoformat(start)
    return [(first + timedelta(hours=k)).isoformat(sep=" ", timespec="minutes") for k in range(n)]


def csv_file(folder: Path, rows: Sequence[Row], header: Row = ("time", "load_kw")) -> Path:
    """Write rows to ``a.csv``."""
    path = folder / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def read(path: Path, ref: SeriesRef, wanted: Span, unit: str = "_kw") -> FloatArray:
    """Read one series."""
    return read_series(ref, path, span=wanted, units=(unit,))


def faults(path: Path, ref: SeriesRef, wanted: Span, unit: str = "_kw") -> tuple[str, ...]:
    """Lines of the error that reading raises."""
    with pytest.raises(SeriesError) as caught:
        read(path, ref, wanted, unit)
    return caught.value.faults


# Resampling, by hand


def test_hold_gives_each_quarter_its_hour(tmp_path: Path) -> None:
    """Hour-beginning rows 0, 1, 2, ... give 0 0 0 0 1 1 1 1 ..."""
    path = csv_file(tmp_path, list(zip(hours("2016-04-20 00:00", 24), range(24), strict=True)))
    assert read(path, reference(), span("2016-04-20")).tolist() == np.repeat(np.arange(24.0), 4).tolist()


def test_ending_stamps_lie_one_step_later(tmp_path: Path) -> None:
    """The same day stamped at the hours' ends gives the same quarter hours."""
    path = csv_file(tmp_path, list(zip(hours("2016-04-20 01:00", 24), range(24), strict=True)))
    values = read(path, reference(stamp="ending"), span("2016-04-20"))
    assert values.tolist() == np.repeat(np.arange(24.0), 4).tolist()


def test_linear_joins_the_middles_of_the_hours(tmp_path: Path) -> None:
    """Rows 0, 8: a line between 00:30 and 01:30, sampled at the quarters' middles; edges are held."""
    path = csv_file(tmp_path, list(zip(hours("2016-04-20 00:00", 24), [0, 8] * 12, strict=True)))
    values = read(path, reference(to_quarter_hours="linear"), span("2016-04-20"))
    assert values[:8].tolist() == [0.0, 0.0, 1.0, 3.0, 5.0, 7.0, 7.0, 5.0]
    assert values[-2:].tolist() == [8.0, 8.0]


def test_linear_keeps_a_straight_series(tmp_path: Path) -> None:
    """Of a series that rises evenly, each quarter hour has exactly its mean."""
    path = csv_file(tmp_path, list(zip(hours("2016-04-19 23:00", 26), np.arange(26) * 4.0, strict=True)))
    values = read(path, reference(to_quarter_hours="linear"), span("2016-04-20"))
    np.testing.assert_allclose(values, 4.0 + np.arange(96) - 1.5)


def test_finer_rows_are_averaged(tmp_path: Path) -> None:
    """Rows of five minutes give the mean of three."""
    stamps = [datetime(2016, 4, 20) + timedelta(minutes=5 * k) for k in range(288)]
    path = csv_file(tmp_path, [(str(stamp), k) for k, stamp in enumerate(stamps)])
    values = read(path, reference(step_minutes=5, to_quarter_hours="mean"), span("2016-04-20"))
    assert values.tolist() == (3.0 * np.arange(96) + 1.0).tolist()


def test_rows_without_times_follow_a_start(tmp_path: Path) -> None:
    """Without a time column the first row's instant says it all."""
    path = csv_file(tmp_path, [("", k) for k in range(30)])
    ref = reference(time_column=None, start="2016-04-19 21:00")
    assert read(path, ref, span("2016-04-20"))[:8].tolist() == [3.0] * 4 + [4.0] * 4
    in_utc = reference(time_column=None, start="2016-04-19T22:00:00+02:00", zone="UTC")  # 21:00 of the clock
    assert read(path, in_utc, span("2016-04-20"))[:8].tolist() == [3.0] * 4 + [4.0] * 4
    found = faults(path, reference(time_column=None, start="yesterday"), span("2016-04-20"))
    assert found == ("start 'yesterday' is no time (ISO, such as 2016-04-20 08:15)",)


def test_steps_before_the_start_are_the_day_before(tmp_path: Path) -> None:
    """Step -96 is the quarter hour that begins day -1."""
    path = csv_file(tmp_path, list(zip(hours("2016-04-19 00:00", 72), range(72), strict=True)))
    values = read(path, reference(), span("2016-04-20", first_step=-96, n_steps=96 * 3))
    assert values[[0, 96, 287]].tolist() == [0.0, 24.0, 71.0]


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e3), min_size=72, max_size=72))
def test_hold_and_mean_keep_energy(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    """The sum over a span of whole hours is the sum of its rows."""
    path = csv_file(
        tmp_path_factory.mktemp("s"), list(zip(hours("2016-04-19 00:00", 72), values, strict=True))
    )
    held = read(path, reference(), span("2016-04-20", first_step=-96, n_steps=288))
    np.testing.assert_allclose(held.sum() / 4, sum(values), rtol=1e-12, atol=1e-9)


# Zones


def test_utc_prices_are_shifted_to_standard_time_all_year(tmp_path: Path) -> None:
    """12:00 UTC is clock hour 13 in Berlin, in July as in January, for the clock knows no daylight saving."""
    ref = reference(column="price_eur_per_mwh", time_column="time_utc", zone="UTC")
    path = data_files()["dayahead_nl_2019_2020"]
    table = pd.read_csv(path, index_col="time_utc")["price_eur_per_mwh"]
    for day in ("2019-01-15", "2019-07-15", "2019-03-31", "2019-10-27"):
        values = read(path, ref, span(day), "_per_mwh")
        assert values[13 * 4] == table[f"{day} 12:00"]
        assert values[0] == table[f"{date.fromisoformat(day) - timedelta(days=1)} 23:00"]


def test_a_daily_peak_in_wall_time_moves_an_hour_in_summer(tmp_path: Path) -> None:
    """A peak at 12:00 of the wall clock, in UTC, is at clock hour 12 in winter and 11 in summer."""
    stamps = [datetime(2019, 3, 1, tzinfo=UTC) + timedelta(hours=k) for k in range(24 * 60)]
    local = [stamp.astimezone(ZoneInfo("Europe/Berlin")) for stamp in stamps]
    rows = [(str(stamp)[:16], float(wall.hour == 12)) for stamp, wall in zip(stamps, local, strict=True)]
    path = csv_file(tmp_path, rows)
    for day, hour in (("2019-03-30", 12), ("2019-03-31", 11), ("2019-04-01", 11)):
        assert int(np.argmax(read(path, reference(zone="UTC"), span(day)))) == hour * 4


@pytest.mark.parametrize("day", ["2019-03-31", "2019-10-27", "2019-07-01"])
@pytest.mark.parametrize("step_minutes", [15, 60])
def test_wall_stamps_and_utc_stamps_agree(tmp_path: Path, day: str, step_minutes: int) -> None:
    """A file in wall time, with its jump and its repeated hour, means what its UTC twin does."""
    zone = ZoneInfo("Europe/Berlin")
    first = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(days=1)
    stamps = [first + timedelta(minutes=step_minutes * k) for k in range(3 * 1440 // step_minutes)]
    ref = reference(step_minutes=step_minutes, zone="Europe/Berlin")
    wall = csv_file(tmp_path, [(f"{s.astimezone(zone):%Y-%m-%d %H:%M}", k) for k, s in enumerate(stamps)])
    by_wall = read(wall, ref, span(day))
    offsets = csv_file(tmp_path, [(s.astimezone(zone).isoformat(), k) for k, s in enumerate(stamps)])
    by_offset = read(offsets, ref, span(day))
    utc = csv_file(tmp_path, [(f"{s:%Y-%m-%d %H:%M}", k) for k, s in enumerate(stamps)])
    by_utc = read(utc, ref.model_copy(update={"zone": "UTC"}), span(day))
    np.testing.assert_array_equal(by_wall, by_utc)
    np.testing.assert_array_equal(by_offset, by_utc)


def test_an_instant_that_the_clock_skipped_is_told(tmp_path: Path) -> None:
    """02:00 of 31 March 2019 does not exist in Berlin."""
    path = csv_file(tmp_path, list(zip(hours("2019-03-31 00:00", 24), range(24), strict=True)))
    found = faults(path, reference(zone="Europe/Berlin"), span("2019-03-31"))
    assert "a.csv line 4: 2019-03-31 02:00 does not exist in Europe/Berlin (clocks went forward)" in found


def test_clock_hours_are_not_converted(tmp_path: Path) -> None:
    """With zone ``scenario`` the same hours serve whatever the scenario's zone."""
    path = csv_file(tmp_path, list(zip(hours("2016-07-20 00:00", 24), range(24), strict=True)))
    by_zone = [read(path, reference(), span("2016-07-20", zone=zone)) for zone in ("Asia/Tokyo", "UTC")]
    np.testing.assert_array_equal(*by_zone)


@given(
    st.datetimes(datetime(2015, 1, 1), datetime(2021, 1, 1)),
    st.sampled_from(["Europe/Berlin", "America/New_York"]),
)
def test_wall_to_utc_against_zoneinfo(moment: datetime, zone: str) -> None:
    """The first of two equal stamps is converted, and a skipped instant found, as by the standard library."""
    moment = moment.replace(microsecond=0, fold=0)  # a file's stamp does not say which of two it is
    aware = moment.replace(tzinfo=ZoneInfo(zone))
    seconds = np.array([int((moment - datetime(1970, 1, 1)).total_seconds())])
    utc_s, exists = wall_to_utc(seconds, zone)
    assert int(utc_s[0]) == int(aware.timestamp())
    assert bool(exists[0]) == (
        aware.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == moment
    )


@pytest.mark.parametrize(
    ("zone", "hours_ahead"),
    [("Europe/Berlin", 1), ("Australia/Sydney", 10), ("Asia/Kolkata", 5.5), ("America/New_York", -5)],
)
def test_standard_time_leaves_daylight_saving_out(zone: str, hours_ahead: float) -> None:
    """The offset is the same in January and July, on either hemisphere."""
    assert {standard_offset_s(zone, date(2016, month, 15)) for month in (1, 7)} == {hours_ahead * 3600}


# The year


def year_file(folder: Path, year: int, value: Callable[[datetime], float]) -> Path:
    """Write an hourly year."""
    n_days = (date(year + 1, 1, 1) - date(year, 1, 1)).days
    stamps = [datetime(year, 1, 1) + timedelta(hours=k) for k in range(24 * n_days)]
    return csv_file(folder, [(str(stamp), value(stamp)) for stamp in stamps])


def day_code(stamp: datetime) -> float:
    """Month, day and hour as one number."""
    return stamp.month * 10_000 + stamp.day * 100 + stamp.hour


def test_a_year_serves_any_year_at_the_same_clock_time(tmp_path: Path) -> None:
    """20 April of 2019 takes 20 April of the file's 2015, hour by hour."""
    path = year_file(tmp_path, 2015, day_code)
    values = read(path, reference(wrap="year"), span("2019-04-20"))
    assert values.tolist() == [42_000.0 + k // 4 for k in range(96)]


def test_a_year_wraps_around_new_year(tmp_path: Path) -> None:
    """The last day of December is followed by the first of January of the same file, lines included."""
    path = year_file(tmp_path, 2015, lambda stamp: 10.0 if stamp.month == 1 else 20.0)
    values = read(path, reference(wrap="year", to_quarter_hours="linear"), span("2019-12-31", n_steps=192))
    assert values[:94].tolist() == [20.0] * 94
    assert values[94:98].tolist() == [18.75, 16.25, 13.75, 11.25]
    assert values[98:].tolist() == [10.0] * 94


def test_29_february_uses_the_28th_where_the_year_has_none(tmp_path: Path) -> None:
    """A year of 365 days serves a leap day; a leap year's file serves its own."""
    for year, code in ((2015, 22_800.0), (2016, 22_900.0)):
        path = year_file(tmp_path, year, day_code)
        values = read(path, reference(wrap="year"), span("2024-02-29", n_steps=97))
        assert values[0] == code
        assert values[96] == 30_100.0


@pytest.mark.parametrize("file_year", [2015, 2016])
@pytest.mark.parametrize("year", [2016, 2019, 2020])
def test_weekdays_of_a_year_serve_the_same_weekdays(file_year: int, year: int, tmp_path: Path) -> None:
    """Every day takes the nearest of its weekday: within three days of its date, six at the file's ends."""
    path = year_file(tmp_path, file_year, lambda stamp: float((stamp - datetime(file_year, 1, 1)).days))
    n_days = (date(year + 1, 1, 1) - date(year, 1, 1)).days
    values = read(path, reference(wrap="weekdays"), span(f"{year}-01-01", n_steps=96 * n_days))
    taken = values.reshape(n_days, 96)
    assert (np.ptp(taken, axis=1) == 0.0).all()
    for day, number in enumerate(taken[:, 0]):
        needed, found = date(year, 1, 1) + timedelta(day), date(file_year, 1, 1) + timedelta(number)
        assert found.weekday() == needed.weekday()
        months_match = date(file_year, needed.month, min(needed.day, 28)) + timedelta(max(0, needed.day - 28))
        is_inside = 3 <= day < n_days - 4
        assert abs((found - months_match).days) <= (4 if is_inside else 6)


def test_a_year_in_utc_wraps_by_the_scenario_clock(tmp_path: Path) -> None:
    """Rows of a UTC year that fall into the next year of the clock serve the first hour of January."""
    path = year_file(tmp_path, 2015, day_code)
    values = read(path, reference(wrap="year", zone="UTC"), span("2019-01-01"))
    assert values[[0, 4]].tolist() == [123_123.0, 10_100.0]


def test_wrapping_needs_one_whole_year(tmp_path: Path) -> None:
    """A shorter or longer file cannot stand for a year."""
    short = csv_file(tmp_path, list(zip(hours("2015-01-01 00:00", 8_000), range(8_000), strict=True)))
    (found,) = faults(short, reference(wrap="year"), span("2015-04-20"))
    assert found == 'a.csv lacks 760 rows of a whole year (first: 11-30 08:00), which wrap = "year" needs'
    long = csv_file(tmp_path, list(zip(hours("2015-01-01 00:00", 9_000), range(9_000), strict=True)))
    (found,) = faults(long, reference(wrap="year"), span("2015-04-20"))
    assert found == 'a.csv covers more than one year: wrap = "year" cannot tell which one to use'


@given(st.dates(date(1999, 1, 1), date(2030, 12, 31)))
def test_second_of_year_counts_a_leap_year(day: date) -> None:
    """Every date has the position that it has in a leap year."""
    position = int(second_of_year(np.array([epoch_s(day)]))[0]) // 86_400
    assert date(2016, 1, 1) + timedelta(days=position) == day.replace(year=2016)


# Faulty files


def good_rows() -> list[Row]:
    """Three days of hours around 20 April 2016."""
    return list(zip(hours("2016-04-19 00:00", 72), [1.0] * 72, strict=True))


WANTED = span("2016-04-20", first_step=-96, n_steps=288)


def replaced(row: int, new: Row) -> list[Row]:
    """Good rows with one exchanged."""
    rows = good_rows()
    rows[row] = new
    return rows


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (replaced(5, ("2016-04-19 05:00", "abc")), "a.csv line 7: column 'load_kw' is no number: 'abc'"),
        (replaced(5, ("2016-04-19 05:00", "")), "a.csv line 7: column 'load_kw' has no value"),
        (replaced(5, ("2016-04-19 05:00", "nan")), "a.csv line 7: column 'load_kw' has no value"),
        (replaced(5, ("2016-04-19 05:00", "inf")), "a.csv line 7: column 'load_kw' has no value"),
        (replaced(5, ("19.4.2016 5 Uhr", 1)), "a.csv line 7: '19.4.2016 5 Uhr' is no time (ISO, such as"),
        (replaced(5, ("", 1)), "a.csv line 7: '' is no time"),
        (replaced(5, ("2016-04-19 04:00", 1)), "a.csv line 7: 2016-04-19 04:00 comes twice"),
        (
            replaced(5, ("2016-04-19 02:00", 1)),
            "a.csv line 7: 2016-04-19 02:00 comes after 2016-04-19 04:00: not in order",
        ),
        (
            replaced(5, ("2016-04-19 05:10", 1)),
            "a.csv line 7: 2016-04-19 05:10 is 70 minutes after the row before, not 60 (step_minutes)",
        ),
        (
            good_rows()[:10] + good_rows()[13:],
            "a.csv line 12: gap: 3 rows missing between 2016-04-19 09:00 and 2016-04-19 13:00",
        ),
        (
            replaced(5, ("2016-04-19 05:00", -3)),
            "a.csv at 2016-04-19 05:00: column 'load_kw' is -3, outside 0..inf",
        ),
        (
            good_rows()[:-1],
            "a.csv covers 2016-04-19 00:00 to 2016-04-21 23:00 of the scenario's clock, "
            "but 2016-04-19 00:00 to 2016-04-22 00:00 is needed",
        ),
        ([], "a.csv has no rows"),
    ],
)
def test_a_faulty_row_is_told_with_its_place(tmp_path: Path, rows: list[Row], line: str) -> None:
    """Each kind of fault names the file, the line as an editor counts it, and the instant or value."""
    found = faults(csv_file(tmp_path, rows), reference(), WANTED)
    assert any(fault.startswith(line) for fault in found), found


def test_many_faults_are_told_at_once_and_counted(tmp_path: Path) -> None:
    """Different faults of one file appear together; of many of a kind the first three and a count."""
    rows = good_rows()
    for row in range(10, 20):
        rows[row] = (rows[row][0], "x")
    rows[30] = (rows[29][0], 1.0)
    found = faults(csv_file(tmp_path, rows), reference(), WANTED)
    assert sum("is no number" in fault for fault in found) == 3
    assert "a.csv: 7 more such rows" in found
    assert any("comes twice" in fault for fault in found)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"column": "lod_kw"}, "a.csv has no column 'lod_kw'; it has time, load_kw"),
        ({"time_column": "t"}, "a.csv has no column 't'; it has time, load_kw"),
        ({"column": "time"}, "column 'time': its name must end in its unit, _kw"),
        ({"step_minutes": 7}, "a.csv line 3: 2016-04-19 01:00 is 60 minutes after the row before, not 7"),
        ({"to_quarter_hours": "mean"}, 'a.csv: rows of 60 min need to_quarter_hours = "hold" or "linear"'),
    ],
)
def test_a_wrong_reference_is_told(tmp_path: Path, changes: dict[str, object], line: str) -> None:
    """A reference that does not fit its file is told with what the file has."""
    found = faults(csv_file(tmp_path, good_rows()), reference(**changes), WANTED)
    assert found[0].startswith(line)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Absent files, folders, other endings, ragged rows and damaged files give one line each."""
    assert faults(tmp_path / "no.csv", reference(), WANTED) == (f"no file {tmp_path / 'no.csv'}",)
    assert faults(tmp_path, reference(), WANTED) == (f"{tmp_path} is not a file",)
    (tmp_path / "a.txt").write_text("time,load_kw\n")
    assert faults(tmp_path / "a.txt", reference(), WANTED) == ("a.txt is neither .csv, .csv.gz nor .parquet",)
    (tmp_path / "a.csv").write_text("time,load_kw\n2016-04-19 00:00,1\n2016-04-19 01:00\n")
    assert faults(tmp_path / "a.csv", reference(), WANTED)[0].startswith(
        "a.csv cannot be read: CSV parse error"
    )
    (tmp_path / "a.csv").write_bytes(b"time,load_kw\n\xff\xfe,1\n")
    assert faults(tmp_path / "a.csv", reference(), WANTED)[0].startswith("a.csv cannot be read")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and then nonsense")
    assert faults(tmp_path / "a.parquet", reference(), WANTED)[0].startswith("a.parquet cannot be read")
    (tmp_path / "a.csv.gz").write_bytes(b"not compressed")
    assert faults(tmp_path / "a.csv.gz", reference(), WANTED)[0].startswith("a.csv.gz cannot be read")


def test_half_hour_zones_need_finer_rows_or_fitting_ones(tmp_path: Path) -> None:
    """Hourly UTC rows begin on the half hour in Kolkata, which quarter hours can follow."""
    path = csv_file(tmp_path, list(zip(hours("2016-04-19 00:00", 72), range(72), strict=True)))
    values = read(path, reference(zone="UTC"), span("2016-04-20", zone="Asia/Kolkata"))
    assert values[:4].tolist() == [18.0, 18.0, 19.0, 19.0]  # 00:00 in Kolkata is 18:30 UTC


def test_rows_off_the_quarter_hours_are_told(tmp_path: Path) -> None:
    """Hours that begin at ten past cannot become quarter hours."""
    path = csv_file(tmp_path, list(zip(hours("2016-04-19 00:10", 72), range(72), strict=True)))
    (found,) = faults(path, reference(), span("2016-04-20"))
    assert found == "a.csv: its rows begin at 2016-04-19 00:10, not on quarter hours"


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    """Tables are kept by what the file was: a file written anew is not taken for the old one."""
    path = csv_file(tmp_path, good_rows())
    assert read(path, reference(), WANTED)[0] == 1.0
    csv_file(tmp_path, replaced(0, ("2016-04-19 00:00", 22.5)))
    assert read(path, reference(), WANTED)[0] == 22.5


# Parquet


@pytest.mark.parametrize("kind", ["naive", "aware", "text", "date"])
def test_parquet_times_of_any_type(tmp_path: Path, kind: str) -> None:
    """Naive and zoned timestamps and ISO text mean the same; dates are told to be no times."""
    naive = np.datetime64("2016-04-19T00:00", "ns") + np.arange(72) * np.timedelta64(3600, "s")
    columns = {
        "naive": pa.array(naive),
        "aware": pa.array(naive).cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC")),
        "text": pa.array([str(t)[:19] for t in naive]),
        "date": pa.array(naive.astype("datetime64[D]")),
    }
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"time": columns[kind], "load_kw": np.arange(72, dtype=np.float32)}), path)
    ref = reference(zone="UTC")
    if kind == "date":
        assert faults(path, ref, WANTED) == ("a.parquet: column 'time' holds date32[day], not times",)
    else:
        values = read(path, ref, span("2016-04-20", zone="UTC"))
        assert values.tolist() == np.repeat(np.arange(24.0, 48.0), 4).tolist()


def test_parquet_nulls_and_texts_are_told(tmp_path: Path) -> None:
    """Missing values are named by row, counted from 1; a column of text is no series."""
    naive = np.datetime64("2016-04-19T00:00", "s") + np.arange(72) * np.timedelta64(3600, "s")
    values: list[float | None] = [1.0] * 72
    values[6] = None
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"time": pa.array(naive), "load_kw": pa.array(values)}), path)
    assert faults(path, reference(), WANTED) == ("a.parquet row 7: column 'load_kw' has no value",)
    pq.write_table(pa.table({"time": pa.array(naive), "load_kw": pa.array([True] * 72)}), path)
    assert faults(path, reference(), WANTED) == ("a.parquet: column 'load_kw' holds bool, not numbers",)


def test_zoned_times_are_not_clock_hours(tmp_path: Path) -> None:
    """Times that carry a zone contradict ``zone = "scenario"``."""
    path = csv_file(tmp_path, [(f"{time}+01:00", value) for time, value in good_rows()])
    assert "carry a zone" in faults(path, reference(), WANTED)[0]
    np.testing.assert_array_equal(read(path, reference(zone="UTC"), WANTED), 1.0)


# Shipped data


def mix(scenario_name: str = "multi-microgrid", region: int = 0) -> LoadMix:
    """Load of a shipped region."""
    load = load_scenario(scenario_name).regions[region].load
    assert isinstance(load, LoadMix)
    return load


def test_a_mix_is_scaled_in_the_mean_of_its_whole_file() -> None:
    """Over the file's whole year the mix has the stated daily energy."""
    load, path = mix(), data_files()["simbench_2016_loads"]
    values = read_mix(load, path, span=span("2016-01-01", n_steps=96 * 366))
    assert values.sum() / 4 / 366 == pytest.approx(load.mean_kwh_per_day, rel=1e-12)


def test_a_mix_does_not_depend_on_the_scale_of_its_weights() -> None:
    """Ten times the weights are the same load; twice the energy is twice the load."""
    load, path = mix(), data_files()["simbench_2016_loads"]
    day = span("2016-04-20")
    tenfold = load.model_copy(update={"weights": {name: 10 * w for name, w in load.weights.items()}})
    np.testing.assert_allclose(read_mix(tenfold, path, span=day), read_mix(load, path, span=day), rtol=1e-12)
    double = load.model_copy(update={"mean_kwh_per_day": 2 * load.mean_kwh_per_day})
    np.testing.assert_allclose(
        read_mix(double, path, span=day), 2 * read_mix(load, path, span=day), rtol=1e-12
    )


LATITUDE, LONGITUDE, ZONE = 36.1, -79.95, "Etc/GMT+5"  # Greensboro's station and its standard time


@cache
def irradiance_reference() -> SeriesRef:
    """Irradiance of the shipped scenario's first region."""
    return SeriesRef.model_validate(
        load_scenario("multi-microgrid").model_dump()["regions"][0]["pv"]["irradiance"]
    )


def irradiance(day: str, *, shift_hours: int = 0) -> FloatArray:
    """Shipped irradiance of a day as the shipped scenario reads it, on purpose shifted by whole hours."""
    values = read(data_files()["tmy3_greensboro"], irradiance_reference(), span(day, zone=ZONE), "_w_m2")
    return np.roll(values, 4 * shift_hours)


@cache
def sun_elevation_deg(day: str) -> FloatArray:
    """Elevation of the sun at the middle of each quarter hour of a day."""
    middles = pd.date_range(f"{day} 00:07:30", periods=96, freq="15min", tz=ZONE)
    return np.asarray(
        pvlib.solarposition.get_solarposition(middles, LATITUDE, LONGITUDE)["apparent_elevation"]
    )


def hours_off_noon(day: str, values: FloatArray) -> float:
    """Distance of the irradiance's centroid from the sun's highest point, hours."""
    middle_h = np.arange(96) / 4 + 0.125
    noon = middle_h[int(np.argmax(sun_elevation_deg(day)))]
    return float(values @ middle_h / values.sum() - noon)


DAYS = [str(date(2015, 1, 1) + timedelta(days=k)) for k in range(0, 365, 7)]


def test_irradiance_against_the_position_of_the_sun() -> None:
    """Night is dark up to what lines across an hour spill, and over the year the centroid is solar noon."""
    night = [irradiance(day)[sun_elevation_deg(day) < -1.0].max() for day in DAYS]
    assert max(night) < 30.0
    assert float(np.mean(night)) < 20.0
    offsets = [hours_off_noon(day, irradiance(day)) for day in DAYS]
    assert abs(float(np.median(offsets))) < 8 / 60


@pytest.mark.parametrize("shift_hours", [-1, 1])
def test_a_series_shifted_by_one_hour_is_noticed(shift_hours: int) -> None:
    """The check of the irradiance fails when the series is off by one hour, either way."""
    offsets = [hours_off_noon(day, irradiance(day, shift_hours=shift_hours)) for day in DAYS]
    assert abs(float(np.median(offsets))) > 45 / 60
    night = [irradiance(day, shift_hours=shift_hours)[sun_elevation_deg(day) < -1.0].max() for day in DAYS]
    assert float(np.mean(night)) > 50.0


@pytest.mark.parametrize(("horizon_steps", "days_after"), [(1, 1), (96, 1), (97, 2), (192, 2)])
def test_series_reach_from_yesterday_to_the_last_horizon(horizon_steps: int, days_after: int) -> None:
    """A run of three days needs a day before it, and whole days for the longest look ahead."""
    overrides = ["simulation.days=3", f"dispatch.horizon_steps={horizon_steps}"]
    wanted = scenario_span(load_scenario("multi-microgrid", overrides))
    assert (wanted.first_step, wanted.n_steps) == (-96, 96 * (1 + 3 + days_after))


def test_every_series_of_the_shipped_scenarios_is_read() -> None:
    """All inputs of a region are found, in order, and what is checked is what is named."""
    scenario = load_scenario("multi-microgrid")
    places = [item.place for item in series_inputs(scenario)]
    assert places[:3] == ["regions[0].load.series", "regions[0].pv.irradiance", "regions[0].pv.temperature"]
    assert len(places) == 9
    check_inputs(scenario, locate)


def test_faults_of_several_series_come_together(tmp_path: Path) -> None:
    """Each faulty series is told with its place in the scenario."""
    csv_file(tmp_path, good_rows()[:30])
    load = f'{{ series = {{ file = "{tmp_path / "a.csv"}", column = "load_kw", time_column = "time", ' + (
        'step_minutes = 60, zone = "scenario", stamp = "beginning", to_quarter_hours = "hold", '
        'wrap = "none" } }'
    )
    scenario = load_scenario("multi-microgrid", [f"regions.home.load={load}", f"regions.other.load={load}"])
    with pytest.raises(SeriesError) as caught:
        check_inputs(scenario, locate)
    assert [fault.partition(": ")[0] for fault in caught.value.faults] == [
        "regions[0].load.series",
        "regions[2].load.series",
    ]


def test_reading_a_year_of_quarter_hours_is_quick(tmp_path: Path) -> None:
    """A year of quarter hours is read, checked and mixed in tens of milliseconds, a first time."""
    path = tmp_path / "loads.parquet"
    path.write_bytes(data_files()["simbench_2016_loads"].read_bytes())
    load = mix()
    read_mix(
        load, data_files()["simbench_2016_loads"], span=span("2016-04-20")
    )  # imports and zones are loaded
    begin = process_time()
    read_mix(load, path, span=scenario_span(load_scenario("multi-microgrid")))
    assert process_time() - begin < 0.5
