"""Files become rows without a digit lost, and a table becomes a file from which the same table is read."""

import csv
import json
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

from llx_magic.errors import UsageProblem
from llx_magic.rows.source import source_of
from llx_magic.rows.writing import check_target, write_table
from tests.rows.results import result_of


def read(path: Path, content: str | bytes, encoding: str = "utf-8") -> list[object]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return [row["row"] for row in source_of(path)]


def test_a_csv_file_has_its_columns_by_the_names_of_its_first_line(tmp_path: Path) -> None:
    rows = read(tmp_path / "x.csv", 'id,text\n1,"a ""b"", c\nd"\n\n2,\n')
    assert rows == [{"id": 1, "text": 'a "b", c\nd'}, {"id": 2, "text": ""}]


@pytest.mark.parametrize(
    ("cells", "values", "kind"),
    [
        (["1", "2"], [1, 2], "int64"),
        (["1", "", "3"], [1, None, 3], "Int64"),
        (["007", "8"], ["007", "8"], "str"),
        (["1.5", "2"], [1.5, 2.0], "float64"),
        (["1.50", "2.25"], ["1.50", "2.25"], "str"),
        (["NA", "null", "nan"], ["NA", "null", "nan"], "str"),
        (["123456789012345678901", "1"], ["123456789012345678901", "1"], "str"),
        (["-0", "1"], ["-0", "1"], "str"),
        (["1e5"], ["1e5"], "str"),
        (["inf", "1.5"], ["inf", "1.5"], "str"),
        (["True", "False"], ["True", "False"], "str"),
        (["", ""], ["", ""], "str"),
        (["2026-01-01"], ["2026-01-01"], "str"),
    ],
)
def test_a_column_of_csv_is_numbers_only_where_no_digit_of_it_would_change(tmp_path, cells, values, kind) -> None:
    path = tmp_path / "x.csv"
    rows = read(path, "a,b\n" + "".join(f"{cell},x\n" for cell in cells))
    assert [row["a"] for row in rows] == values
    source = source_of(path)
    table = source.joined({})
    assert isinstance(table, pd.DataFrame)
    assert str(table["a"].dtype).replace("object", "str") == kind


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_what_stands_between_the_cells_is_seen_in_the_first_line(tmp_path: Path, delimiter: str) -> None:
    rows = read(tmp_path / "x.csv", f'a{delimiter}"b,c;d"\n1{delimiter}"x, y"\n')
    assert rows == [{"a": 1, "b,c;d": "x, y"}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_text_is_read_in_the_encodings_that_spreadsheets_write(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "x.csv"
    assert read(path, "größe\r\n5 €\r\n", encoding) == [{"größe": "5 €"}]
    noted = source_of(path).note
    assert noted == ("x.csv is not UTF-8 and was read as Windows-1252" if encoding == "cp1252" else "")


def test_an_object_of_json_on_every_line_is_a_row(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    rows = read(path, '{"a": 1, "b": [1, {"c": null}]}\r\n\n{"a": null, "d": "\u2028"}')
    assert rows == [{"a": 1, "b": [1, {"c": None}], "d": None}, {"a": None, "b": None, "d": "\u2028"}]
    table = source_of(path).joined({})
    assert isinstance(table, pd.DataFrame)
    assert str(table["a"].dtype) == "Int64"


def test_parquet_keeps_whole_numbers_whole_beside_missing_ones(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    given = {"n": pa.array([2**60 + 1, None]), "t": pa.array(["a", None])}
    pyarrow.parquet.write_table(pa.table(given), path)
    assert [row["row"] for row in source_of(str(path))] == [{"n": 2**60 + 1, "t": "a"}, {"n": None, "t": None}]


def test_parquet_of_pandas_keeps_its_labels_and_types(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"a": pd.Categorical(["x", "y"]), "n": pd.array([1, None], "Int64")},
        index=pd.MultiIndex.from_tuples([("p", 1), ("q", 2)], names=["k", "l"]),
    )
    frame.to_parquet(tmp_path / "x.parquet")
    joined = source_of(tmp_path / "x.parquet").joined({})
    assert isinstance(joined, pd.DataFrame)
    pd.testing.assert_frame_equal(joined, frame)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.csv", "a,b\n1,2\n3\n", "line 3 of {path} has 1 cell under 2 columns"),
        ("x.csv", 'a,b\n"1\n2",2,3\n', "line 3 of {path} has 3 cells under 2 columns"),
        ("x.csv", 'a,b\n1,"2\n', "line 2 of {path} cannot be read: unexpected end of data"),
        ("x.csv", "a,b,a\n", "two columns of {path} are called 'a'"),
        ("x.csv", "", "{path} is empty; its first line names the columns"),
        ("x.csv", b"a\n\xff\xfe\x00\x81\n", "line 2 of {path} is neither UTF-8 nor Windows-1252"),
        ("x.csv", b"\xef\xbb\xbfa\n\xff\n", "line 2 of {path} is not UTF-8, as the mark at its beginning says"),
        ("x.jsonl", '{"a": 1}\n{"a": \n', "line 2 of {path} is no JSON: Expecting value, column 7"),
        ("x.jsonl", "", "{path} is empty; each of its lines is a row, as a JSON object"),
        ("x.ndjson", "\n \n", "{path} is empty; each of its lines is a row"),
        ("x.tsv", "\n", "{path} is empty; its first line names the columns"),
        ("x.jsonl", '{"a": 1}\n[1]\n', "line 2 of {path} is no JSON object, which every line must be: [1]"),
        ("x.jsonl", "[" * 100_000, "line 1 of {path} is JSON that is nested too deeply"),
        ("x.parquet", "no", "{path} is no Parquet file"),
        ("x.xlsx", "", "{path} must end in .csv, .tsv, .jsonl, .ndjson or .parquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path, name, content, said) -> None:
    path = tmp_path / name
    with pytest.raises(UsageProblem) as caught:
        read(path, content)
    assert str(caught.value).startswith(said.format(path=path))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named_with_the_one_that_may_be_meant(tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_text("a\n")
    with pytest.raises(UsageProblem, match=r"there is no file .*ticket\.csv; did you mean tickets\.csv\?"):
        source_of(tmp_path / "ticket.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageProblem, match=r"folder\.csv is a folder"):
        source_of(str(tmp_path / "folder.csv"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageProblem, match=r"folder is a folder; a file of rows ends in \.csv, "):
        source_of(tmp_path / "folder")


@pytest.mark.posix("on Windows such a path is one")
def test_a_path_of_windows_is_told_apart_from_a_file_that_is_not_there() -> None:
    with pytest.raises(UsageProblem, match=r"there is no file .*a\.csv; folders are parted by / on this machine"):
        source_of(Path("C:\\data\\a.csv"))


@pytest.mark.parametrize("text", ["Summarise this", "a.csv\nb", "x" * 5000 + ".csv"])
def test_a_text_that_is_no_path_is_refused_as_one(text: str) -> None:
    with pytest.raises(UsageProblem, match=r"is no path of a file that ends in \.csv, .* a text alone is a list"):
        source_of(text)


WRITTEN = pd.DataFrame(
    {
        "n": pd.array([1, None], "Int64"),
        "f": [0.1, float("nan")],
        "t": ['a "b",\nc', "=1+1"],
        "c": pd.Categorical(["x", None]),
        "o": [{"k": [1, "ä"]}, None],
        "at": [pd.Timestamp("2026-01-02 03:04:05", tz="UTC"), pd.NaT],
    }
)


def test_csv_is_written_so_that_the_same_is_read(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write_table(WRITTEN, path)
    with path.open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["n", "f", "t", "c", "o", "at"],
            ["1", "0.1", 'a "b",\nc', "x", '{"k": [1, "ä"]}', "2026-01-02T03:04:05+00:00"],
            ["", "", "=1+1", "", "", ""],
        ]


@pytest.mark.parametrize("table", [WRITTEN, pl.from_pandas(WRITTEN.drop(columns="o"))], ids=["pandas", "polars"])
def test_json_lines_hold_every_value_as_json_has_it(tmp_path: Path, table: object) -> None:
    path = tmp_path / "out.jsonl"
    write_table(table, path)
    first, second = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert {name: first[name] for name in ("n", "f", "t", "c")} == {"n": 1, "f": 0.1, "t": 'a "b",\nc', "c": "x"}
    assert second["n"] is second["c"] is second["at"] is None


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet", "x.tsv"])
def test_a_table_of_results_comes_back_from_its_file(tmp_path: Path, name: str) -> None:
    frame = result_of(pd.DataFrame({"id": [1, None], "t": ["007", "x"]}, dtype="object"), "yes", "no").frame
    write_table(frame, tmp_path / name)
    rows = list(source_of(tmp_path / name))
    assert [row["reply"] for row in rows] == ["yes", "no"]
    assert [row["t"] for row in rows] == ["007", "x"]
    assert [row["id"] for row in rows] == [1, None]


def test_an_input_file_comes_out_of_a_map_as_it_was(tmp_path: Path) -> None:
    content = "id,price,code,n\n1,1.50,007,\n2,2.25,NA,5\n"
    (tmp_path / "in.csv").write_text(content)
    write_table(source_of(tmp_path / "in.csv").joined({}), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == content


def test_labels_that_say_something_become_columns_of_a_file(tmp_path: Path) -> None:
    labelled = pd.DataFrame({"index": [1]}, index=["x"])
    write_table(labelled, tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == "index_,index\nx,1\n"
    levels = pd.DataFrame([[1]], index=pd.MultiIndex.from_tuples([("a", 2)], names=["k", None]), columns=[("p", "q")])
    write_table(levels, tmp_path / "y.csv")
    assert (tmp_path / "y.csv").read_text() == "k,level_1,p / q\na,2,1\n"


def test_a_table_that_cannot_be_written_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_text("before")
    with pytest.raises(UsageProblem, match="Parquet cannot hold this table"):
        write_table(pd.DataFrame({"a": [1, "x", [2]]}), path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.posix("Windows has no such rights")
def test_a_file_keeps_its_rights_and_a_new_one_has_those_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("")
    (tmp_path / "old.csv").chmod(0o600)
    (tmp_path / "usual").write_text("")
    for name in ("old.csv", "new.csv"):
        write_table(pd.DataFrame({"a": [1]}), tmp_path / name)
    modes = {each.name: each.stat().st_mode & 0o777 for each in tmp_path.iterdir()}
    assert modes == {"old.csv": 0o600, "new.csv": modes["usual"], "usual": modes["usual"]}


@pytest.mark.parametrize(
    ("path", "said"),
    [("x.xlsx", r"must end in \.csv, "), ("nowhere/x.csv", "there is no folder .*nowhere"), (".csv/", "must end in")],
)
def test_a_target_that_cannot_be_written_is_refused_before_anything_is_sent(tmp_path, path, said) -> None:
    with pytest.raises(UsageProblem, match=said):
        check_target(tmp_path / path)


@pytest.mark.parametrize("ending", ["", ".csv"])
@pytest.mark.parametrize("name", ["~nobody-here/rows", "x" * 5000])
def test_a_name_that_no_file_can_have_is_refused_in_a_sentence(name: str, ending: str) -> None:
    with pytest.raises(UsageProblem):
        source_of(Path(name + ending))
