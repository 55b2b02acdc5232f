"""The files that a report is made from."""

from lockstep.kernel.errors import DataError, IntegrityError
from lockstep.steps.reporting.sources import PlotTables, plot_files, read_plot_tables

import pytest

TEXTS = {
    "intervals": "metric,value,low,high,baseline\nroc_auc,0.9,,,\nmae,1e-05,0.0,inf,3\n",
    "folds": "repeat,fold,n_train,n_test,metric,value\n1,1,96,24,accuracy,1.0\n",
    "history": "iteration,part,loss\n1,train,0.5\n",
    "curves": "curve,series,x,y,count,low,high\nROC,NA,0.0,1.0,,,\nROC,,0.5,1.0,3,0.25,1.0\n",
    "importance": "feature,importance,std,metric\n007,-0.5,0.0,log_loss\n",
    "predictions": "actual,predicted,count\nnull,NA,3\ntrue,1,0\n",
}


@pytest.fixture
def folder(tmp_path):
    for name, path in plot_files(tmp_path).items():
        path.write_text(TEXTS[name])
    return tmp_path


def test_every_table_has_its_file(folder):
    assert {path.name for path in plot_files(folder).values()} == {f"{name}.csv" for name in TEXTS}


def test_cells_are_typed_and_names_stay_texts(folder):
    found = read_plot_tables(folder, "classification")
    first, second = found.intervals
    assert (first.low, first.baseline, second.value, second.high) == (None, None, 1e-05, float("inf"))
    assert [point.series for point in found.curves] == ["NA", ""]
    assert [(point.count, point.low) for point in found.curves] == [(None, None), (3, 0.25)]
    assert found.importance[0].feature == "007"
    assert [(row.actual, row.predicted) for row in found.predictions] == [("null", "NA"), ("true", "1")]


def test_single_rows_of_a_regression_are_not_read(folder):
    assert read_plot_tables(folder, "regression").predictions == []


@pytest.mark.parametrize("name", TEXTS)
def test_a_missing_or_another_table_is_one_message(folder, name):
    path = plot_files(folder)[name]
    for text in ("", '{"other": 1}', "other,columns\n1,2\n", TEXTS[name] + "x\n", TEXTS[name].splitlines()[0] + '\n"'):
        path.write_text(text)
        with pytest.raises(
            IntegrityError, match=rf"{name}\.csv is not what a stage wrote .* Run 'dvc repro' to remake it"
        ):
            read_plot_tables(folder, "classification")
    path.unlink()
    with pytest.raises(DataError, match=rf"{name}\.csv does not exist\. Run 'dvc repro', which makes it\."):
        read_plot_tables(folder, "classification")


def test_tables_are_all_there_is():
    assert set(PlotTables.__dataclass_fields__) == set(TEXTS)
