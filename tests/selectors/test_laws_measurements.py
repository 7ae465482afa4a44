"""The measurements table: what comes in is what was measured, or an error that names it."""

import numpy as np
import pyarrow as pa
import pytest

from tamis import errors
from tamis.schemas import measurements

GOOD = {
    "samples": [10, 20, 20],
    "errors": [0.4, 0.3, 0.31],
    "weights": [[1, 0], [0.5, 0.5], [0.5, 0.5]],
    "supply": [[5, 9]] * 3,
    "seeds": [0, 0, 1],
}


def table(**changes):
    return measurements.table(("a", "b"), **{**GOOD, **changes})


def test_parquet_round_trip_keeps_names_and_chance(tmp_path):
    measurements.write(table(chance=0.75), tmp_path / "m.parquet")
    back = measurements.read(tmp_path / "m.parquet")
    assert back.equals(table(chance=0.75), check_metadata=True)
    assert measurements.strata(back) == ("a", "b")
    assert measurements.chance(back) == 0.75
    np.testing.assert_array_equal(measurements.matrix(back, "weights"), GOOD["weights"])


def test_csv_of_ones_own_runs(tmp_path):
    lines = "samples,error,weight:a,weight:b,supply:a,supply:b\n10,.4,1,0,5,9\n20,.3,.5,.5,5,9\n"
    (tmp_path / "m.csv").write_text(lines)
    back = measurements.read(tmp_path / "m.csv")
    assert measurements.strata(back) == ("a", "b")
    assert measurements.matrix(back, "supply").tolist() == [[5, 9], [5, 9]]
    assert measurements.chance(back) == 0.5


def test_slices_and_chunks_keep_their_rows():
    both = pa.concat_tables([table().slice(1), table()])
    np.testing.assert_array_equal(measurements.matrix(both, "weights")[:2], GOOD["weights"][1:])
    assert len(measurements.matrix(both, "weights")) == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"errors": [0.4, float("nan"), 0.3]}, r"measurements:row 1: error nan is not a finite"),
        ({"errors": [0.4, 0.3, -0.1]}, r"row 2: error -0.1 is negative"),
        ({"samples": [10, 0, 20]}, r"row 1: samples 0.0 is not at least 1"),
        ({"weights": [[1, 0], [0.5, 0.4], [1, 0]]}, r"row 1: weights \[0.5, 0.4\] do not sum to 1"),
        ({"weights": [[1, 0], [1.5, -0.5], [1, 0]]}, r"row 1: .* are negative"),
        ({"weights": [[1, 0], [np.nan, 1], [1, 0]]}, r"row 1: .* are not finite"),
        ({"supply": [[5, 9], [5, 0], [5, 9]]}, r"row 1: .* are on a stratum without supply"),
        ({"supply": [[5, 9], [5, -1], [5, 9]]}, r"row 1: supply .* is negative"),
    ],
)
def test_bad_values_are_named(changes, message):
    with pytest.raises(errors.PlanError, match=message):
        table(**changes)


def test_one_point_is_not_enough():
    one = {k: v[:1] for k, v in GOOD.items()}
    with pytest.raises(errors.PlanError, match="one point carries no plan"):
        table(**one)


def test_no_point_is_not_enough():
    none = {"samples": [], "errors": [], "weights": np.empty((0, 2)), "supply": np.empty((0, 2))}
    with pytest.raises(errors.PlanError, match="the table is empty"):
        table(**none, seeds=[])


def test_a_missing_column_is_named(tmp_path):
    with pytest.raises(errors.PlanError, match="no column 'error'"):
        measurements.validate(table().drop_columns(["error"]))
    (tmp_path / "m.csv").write_text("samples,error,weight:a\n10,.4,1\n")
    with pytest.raises(errors.PlanError, match="no column 'supply:a'"):
        measurements.read(tmp_path / "m.csv")
    (tmp_path / "n.csv").write_text("samples,error\n10,.4\n")
    with pytest.raises(errors.PlanError, match="no column 'weight:<stratum>'"):
        measurements.read(tmp_path / "n.csv")


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("sampels,error,weight:a,supply:a", "no column 'samples'; is it 'sampels'?"),
        ("samples,eror,weight:a,supply:a", "no column 'error'; is it 'eror'?"),
        ("samples,error,wieght:a,supply:a", "column 'wieght:a' means nothing.*weight:<stratum>"),
        ("samples,error,weight:a,suply:a", "column 'suply:a' means nothing.*supply:<stratum>"),
    ],
)
def test_a_slip_in_a_column_is_named(tmp_path, head, said):
    (tmp_path / "m.csv").write_text(f"{head}\n10,.4,1,20\n")
    with pytest.raises(errors.PlanError, match="(?s)" + said.replace("?", r"\?")):
        measurements.read(tmp_path / "m.csv")


def test_a_table_without_names_is_refused():
    with pytest.raises(errors.PlanError, match="no names of the strata"):
        measurements.validate(table().replace_schema_metadata(None))


def test_a_stratum_named_twice_is_refused():
    with pytest.raises(errors.PlanError, match="named twice"):
        measurements.table(("a", "a"), **GOOD)
