"""Results: the published values from the authors' own logs, then tables with pieces missing."""

import json
import math
import os
from pathlib import Path

import lmdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.errors import BadInput, FormatError
from caffe_transfer.nets.cut_record import CutRecord, cut_text
from caffe_transfer.report import results
from caffe_transfer.report.metric import Metric
from caffe_transfer.report.results import Row
from caffe_transfer.studies.network import Network

NET_2014 = """
layers { layer { name: "fc8" type: "innerproduct" num_output: 1000 } bottom: "x" top: "fc8" }
layers { layer { name: "loss" type: "softmax_loss" } bottom: "fc8" bottom: "label" }
"""
# The hidden layer has as many outputs as ILSVRC has classes, and is no classifier.
NET_1_0 = """
layer { name: "fc7" type: "InnerProduct" bottom: "x" top: "fc7"
  inner_product_param { num_output: 1000 } }
layer { name: "out" type: "Convolution" bottom: "fc7" top: "out"
  convolution_param { num_output: 5 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "out" bottom: "label" }
"""


@pytest.fixture(scope="module")
def published(authors: Path) -> dict[str, Row]:
    return {row.network.name: row for row in results.collect(authors).rows}


@pytest.mark.parametrize(
    ("name", "top1"),
    [
        ("nolearn_1_1", "0.4917"),
        ("nolearn_1_2", "0.4026"),
        ("nolearn_1_3", "0.0011"),
        ("reduced-1300", "0.5517618"),
        # Read off the authors' own plot of the same networks, result_transfer.pdf.
        ("half0A", "0.615"),
        ("half0B", "0.634"),
    ],
)
def test_published_values_come_out(published: dict[str, Row], name: str, top1: str) -> None:
    value = published[name].top1
    assert value is not None
    assert f"{value:.{len(top1) - 2}f}" == top1


def test_published_networks_are_complete_or_said_not_to_be(published: dict[str, Row]) -> None:
    incomplete = [name for name, row in published.items() if not row.complete]
    assert incomplete == ["transfer-ft0B0A_1_1"]
    row = published["transfer-ft0B0A_1_1"]
    assert (row.iterations, row.top1, row.train_loss, row.stalled) == (0, None, None, None)


def test_published_networks_that_stalled(published: dict[str, Row]) -> None:
    stalled = {name for name, row in published.items() if row.stalled}
    assert stalled == {"nolearn_1_3", "nolearn_1_7", "reduced-0010", "reduced-0100"}


def log(losses: list[float], scores: list[float], step: int = 20) -> str:
    lines = []
    for i, loss in enumerate(losses):
        lines.append(f"I0403 06:{i:02d}:00.000000 1 s.cpp:1] Iteration {i * step}, loss = {loss}")
    for i, score in enumerate(scores):
        stamp = f"I0403 07:{i:02d}:00.000000 1 s.cpp:1]"
        lines += [f"{stamp} Iteration {i * step}, Testing net", f"{stamp} Test score #0: {score}"]
    return "\n".join(lines) + "\n"


def network(folder: Path, name: str, text: str, net: str = NET_2014, max_iter: int = 40) -> Path:
    path = folder / name
    path.mkdir(parents=True)
    (path / "job.o1").write_text(text)
    (path / "imagenet_train.prototxt").write_text(net)
    (path / "imagenet_solver.prototxt").write_text(f"base_lr: 0.01\nmax_iter: {max_iter}\n")
    return path


def one(folder: Path, *args: object, **kwargs: object) -> Row:
    network(folder, *args, **kwargs)  # type: ignore[arg-type]
    (row,) = results.collect(folder).rows
    return row


def test_metric_of_fewer_than_ten_values_is_the_mean_of_those_there(tmp_path: Path) -> None:
    row = one(tmp_path, "netbase", log([3, 2, 1], [0.25, 0.5]))
    assert (row.top1, row.top1_last, row.train_loss) == (0.375, 0.5, 2.0)
    assert row.valid_loss is None
    assert row.complete is True
    assert (row.tests, row.top1_last10, row.top5) == (2, 0.375, None)


def test_the_interval_is_that_of_the_paper_s_metric_whatever_is_compared(tmp_path: Path) -> None:
    path = run_with_data(tmp_path, 4)
    scores = [0.5, *[0.25] * 10, *[0.75] * 2]
    (path / "logs" / "train.log").write_text(log([1.6, 1.2], scores))
    found = results.collect(tmp_path)
    (row,) = found.rows
    assert (row.top1, row.top1_last, row.top1_last10, row.tests) == (0.375, 0.75, 0.35, 13)
    interval = (row.top1_low, row.top1_high)
    # Wilson's interval of 7.5 of 20, rounded to 8, as scipy gives it, moved to 0.375.
    assert interval == pytest.approx((0.375 - 0.4 + 0.21880, 0.375 - 0.4 + 0.61342), abs=1e-4)
    for metric, score in ((Metric.BEST10, 0.375), (Metric.LAST, 0.75), (Metric.LAST10, 0.35)):
        (compared,) = found.by(metric).rows
        assert (compared.score, compared.top1) == (score, 0.375)
        assert (compared.top1_low, compared.top1_high) == interval
        assert compared.estimate is not None
        assert compared.estimate.value == score


def test_top_5_and_the_main_classifier_s_top_1_come_from_the_net(tmp_path: Path) -> None:
    path = run_with_data(tmp_path, 4)
    (path / "train_val.prototxt").write_text(
        NET_WITH_DATA
        + 'layer { name: "5" type: "Accuracy" bottom: "out" bottom: "label" top: "a"\n'
        "  accuracy_param { top_k: 5 } }\n"
        'layer { name: "1" type: "Accuracy" bottom: "out" bottom: "label" top: "b" }\n'
    )
    stamp = "I20261123 06:00:00.000000 1 s.cpp:1]"
    (path / "logs" / "train.log").write_text(
        f"{stamp} Iteration 0, Testing net (#0)\n"
        f"{stamp}     Test net output #0: a = 0.75\n"
        f"{stamp}     Test net output #1: b = 0.25\n"
        f"{stamp}     Test net output #2: loss = 1.5 (* 1 = 1.5 loss)\n"
    )
    (row,) = results.collect(tmp_path).rows
    assert (row.top1, row.top5) == (0.25, 0.75)


def test_what_is_no_share_of_right_answers_has_no_interval() -> None:
    row = Row(Network.parse("half0A"), 1, top1=1.5, valid_images=100)
    assert (row.top1_low, row.top1_high) == (None, None)


def test_not_complete(tmp_path: Path) -> None:
    assert one(tmp_path, "netbase", log([3, 2], []), max_iter=450000).complete is False


@pytest.mark.parametrize(
    ("name", "loss", "stalled"),
    [
        ("netbase", math.log(1000), True),
        ("half0A", math.log(500), True),  # of 1000 outputs only 500 are classes
        ("half0A", math.log(1000), False),
        ("halfnatmanA", math.log(449), True),
        ("halfnatmanB", math.log(551), True),
        ("netbase", 3.0, False),
        ("netbase", math.nan, True),
    ],
)
def test_stalled_at_the_loss_of_guessing(
    tmp_path: Path, name: str, loss: float, stalled: bool
) -> None:
    assert one(tmp_path, name, log([9, *[loss] * 12], [])).stalled is stalled


def test_stalled_with_other_outputs_and_with_none(tmp_path: Path) -> None:
    five = network(tmp_path, "half0A", log([math.log(5)] * 12, []), NET_2014.replace("1000", "5"))
    assert results.collect(tmp_path).rows[0].stalled is True
    (five / "imagenet_train.prototxt").unlink()
    (five / "imagenet_solver.prototxt").unlink()
    (row,) = results.collect(tmp_path).rows
    assert (row.stalled, row.complete) == (None, None)


def test_files_of_dialect_1_0(tmp_path: Path) -> None:
    path = tmp_path / "results" / "half0A"
    (path / "logs").mkdir(parents=True)
    (path / "logs" / "train-20261123-204000.log").write_text(log([1.6, 1.2], [0.5]))
    (path / "solver.prototxt").write_text("# max_iter: 7\nmax_iter: 20\n")
    (path / "train_val.prototxt").write_text(NET_1_0)
    (row,) = results.collect(tmp_path).rows
    assert (row.iterations, row.complete, row.top1, row.stalled) == (20, True, 0.5, False)


def test_other_folders_are_named_and_broken_logs_too(tmp_path: Path) -> None:
    network(tmp_path, "half0A", log([3, 2], [0.5]))
    network(tmp_path, "half0B", "")
    (tmp_path / "half0B" / "job.o2.gz").write_bytes(b"\x1f\x8bgarbage")
    (tmp_path / "notes").mkdir()
    (tmp_path / ".hidden").mkdir()
    found = results.collect(tmp_path)
    assert [row.network.name for row in found.rows] == ["half0A", "half0B"]
    assert len(found.problems) == 2
    assert "job.o2.gz is broken inside" in found.problems[0]
    assert found.problems[1].startswith(f"{tmp_path / 'notes'} was left out")


def test_loops_of_links_are_not_walked(tmp_path: Path) -> None:
    network(tmp_path, "half0A", log([3, 2], [0.5]))
    os.symlink("..", tmp_path / "half0A" / "basenet")
    os.symlink(".", tmp_path / "half0B")
    os.symlink("loop", tmp_path / "loop")
    found = results.collect(tmp_path)
    assert [(row.network.name, row.top1) for row in found.rows] == [
        ("half0A", 0.5),
        ("half0B", None),
    ]


def test_progress_names_each_folder(tmp_path: Path) -> None:
    network(tmp_path, "half0A", "")
    network(tmp_path, "half0B", "")
    calls: list[tuple[int, int, str]] = []
    results.collect(tmp_path, lambda *call: calls.append(call))
    assert calls == [(0, 2, "half0A"), (1, 2, "half0B")]


def test_no_folder_and_no_networks(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a folder"):
        results.collect(tmp_path / "none")
    with pytest.raises(BadInput, match="holds no folder of a network"):
        results.collect(tmp_path)


values = st.none() | st.floats(0, 10, allow_subnormal=False).map(lambda x: float(f"{x:.10g}"))
rows = st.builds(
    Row,
    st.sampled_from(
        ["half0A", "transfer-ft0A0B_1_4", "nolearn_1_4", "reduced-0010", "transfernatmanAB_1_4"]
    ).map(Network.parse),
    st.integers(0, 450000),
    st.none() | st.booleans(),
    values,
    values,
    values,
    values,
    st.none() | st.booleans(),
    st.none() | st.sampled_from(["conv4", "inception_4a/output", 'a "quoted", name']),
    st.none() | st.integers(1, 50000),
    top5=values,
    tests=st.none() | st.integers(0, 450),
    top1_last10=values,
    data_restarts=st.none() | st.integers(0, 9),
)


@given(st.lists(rows, max_size=5))
def test_csv_comes_back(tmp_path_factory: pytest.TempPathFactory, table: list[Row]) -> None:
    path = tmp_path_factory.mktemp("csv") / "results.csv"
    results.write_csv(path, table)
    assert results.read_csv(path) == table


def test_repeats_are_counted_in_the_table_that_is_read(tmp_path: Path) -> None:
    names = ("half0A", "half0A-seed2", "half0B", "reduced-0010", "reduced-0010-seed3")
    results.write_csv(tmp_path / "some.csv", [Row(Network.parse(name), 1) for name in names])
    found = results.read_results(tmp_path / "some.csv")
    assert [row.seeds for row in found.rows] == [2, 2, 1, 2, 2]
    for name in names[:2]:
        network(tmp_path / "results", name, log([3, 2], [0.5]))
    assert [row.seeds for row in results.collect(tmp_path).rows] == [2, 2]


def test_csv_has_the_columns_and_leaves_missing_values_empty(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    results.write_csv(path, [Row(Network.parse("transfer-ft0A0B_1_4"), 0, complete=False)])
    assert path.read_text() == (
        "network,mode,base,target,split,n,fine_tuned,iterations,complete,"
        "top1,top1_last,valid_loss,train_loss,stalled,cut,valid_images,"
        "seeds,top1_low,top1_high,top5,tests,top1_last10,data_restarts\n"
        "transfer-ft0A0B_1_4,transfer,A,B,0,4,true,0,false,,,,,,,,1,,,,,,\n"
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a,b\n1,2\n", "lacks 'network'"),
        ("", "lacks 'network'"),
        (
            ",".join(results.COLUMNS) + "\nhalf0A,base,,A,0,0,false,x,true,,,,,\n",
            "line 2 is not a row",
        ),
        (
            ",".join(results.COLUMNS) + "\nhalf0A,base,,A,0,0,false,1,maybe,,,,,\n",
            "line 2 is not a row",
        ),
        (",".join(results.COLUMNS) + "\nhalf0A\n", "line 2 is"),
        (
            ",".join(results.COLUMNS) + "\nnonsense,base,,A,0,0,false,1,true,,,,,\n",
            "line 2 is not a row",
        ),
    ],
)
def test_other_tables_are_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "results.csv"
    path.write_text(text)
    with pytest.raises(FormatError, match=complaint):
        results.read_results(path)


def test_binary_file_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="is not a table of results"):
        results.read_results(path)


def test_read_results_takes_a_folder_or_its_table(tmp_path: Path) -> None:
    network(tmp_path / "results", "half0A", log([3, 2], [0.5]))
    of_folder = results.read_results(str(tmp_path))
    assert [row.top1 for row in of_folder.rows] == [0.5]
    results.write_csv(tmp_path / "results.csv", of_folder.rows)
    assert results.read_results(str(tmp_path / "results.csv")) == of_folder
    with pytest.raises(BadInput, match="none is not a folder"):
        results.read_results(tmp_path / "none")


def test_later_columns_are_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    row = "half0A,base,,A,0,0,false,40,true,0.5,0.5,1,1,false"
    path.write_text(",".join(results.COLUMNS) + f",later\n{row},,,,,,,,,3\n")
    assert [row.top1 for row in results.read_results(path).rows] == [0.5]


def test_older_tables_are_read(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    columns = list(results.COLUMNS)[:14]
    path.write_text(f"{','.join(columns)}\nhalf0A,base,,A,0,0,false,40,true,0.5,0.5,1,1,false\n")
    (row,) = results.read_results(path).rows
    assert (row.top1, row.cut, row.valid_images, row.tests) == (0.5, None, None, None)


def test_rows_as_dictionaries_of_plain_values() -> None:
    row = Row(Network.parse("transfer-ft0A0B_1_4"), 40, top1=0.5)
    assert row.as_dict() == {
        "network": "transfer-ft0A0B_1_4", "mode": "transfer", "base": "A", "target": "B",
        "split": "0", "n": 4, "fine_tuned": True, "iterations": 40, "complete": None,
        "top1": 0.5, "top1_last": None, "valid_loss": None, "train_loss": None, "stalled": None,
        "cut": None, "valid_images": None, "seeds": 1, "top1_low": None, "top1_high": None,
        "top5": None, "tests": None, "top1_last10": None, "data_restarts": None,
    }  # fmt: skip
    assert type(row.as_dict()["mode"]) is str
    assert results.Results((row,), ("x",)).as_dict() == {"rows": [row.as_dict()], "problems": ["x"]}


def test_a_broken_net_is_a_problem_and_its_network_keeps_its_results(tmp_path: Path) -> None:
    network(tmp_path, "half0A", log([3, 2], [0.5]), net="layers {")
    found = results.collect(tmp_path)
    (row,) = found.rows
    assert (row.top1, row.complete, row.stalled) == (0.5, False, None)
    (problem,) = found.problems
    assert "imagenet_train.prototxt is not a prototxt" in problem


NET_WITH_DATA = (
    """
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  data_param { source: "../../data/half0A_train/lmdb" batch_size: 8 backend: LMDB } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
  data_param { source: "../../data/half0A_valid/lmdb" batch_size: 5 backend: LMDB } }
"""
    + NET_1_0
)


def run_with_data(folder: Path, test_iter: int) -> Path:
    """A run's folder with one network, half0A, without its data."""
    path = folder / "results" / "half0A"
    (path / "logs").mkdir(parents=True)
    (path / "logs" / "train.log").write_text(log([1.6, 1.2], [0.5]))
    (path / "solver.prototxt").write_text(f"max_iter: 20\ntest_iter: {test_iter}\n")
    (path / "train_val.prototxt").write_text(NET_WITH_DATA)
    return path


def write_database(path: Path, records: int) -> None:
    path.mkdir(parents=True)
    with (
        lmdb.open(str(path), map_size=1 << 20) as database,
        database.begin(write=True) as transaction,
    ):
        for i in range(records):
            transaction.put(f"{i:08d}".encode(), b"image")


@pytest.mark.parametrize(
    ("test_iter", "records", "listed", "images"),
    [
        (4, 12, 13, 12),  # 20 images tested: 8 of them twice; one of the list was broken
        (2, 12, 13, 10),
        (4, None, 13, 13),  # the database has been removed to save room
        (4, None, None, 20),
        (0, 12, 13, None),
    ],
)
def test_validation_images_are_those_that_a_test_sees(
    tmp_path: Path, test_iter: int, records: int | None, listed: int | None, images: int | None
) -> None:
    run_with_data(tmp_path, test_iter)
    if records is not None:
        write_database(tmp_path / "data/half0A_valid/lmdb", records)
    if listed is not None:
        (tmp_path / "data/half0A_valid").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data/half0A_valid/files.txt").write_text("a/b.jpg 0\n" * listed)
    found = results.collect(tmp_path)
    assert ([row.valid_images for row in found.rows], found.problems) == ([images], ())


def test_a_list_of_images_and_a_database_of_another_kind(tmp_path: Path) -> None:
    path = run_with_data(tmp_path, 4)
    (tmp_path / "data/half0A_valid/lmdb").mkdir(parents=True)  # a LevelDB, say
    assert [row.valid_images for row in results.collect(tmp_path).rows] == [20]
    net = NET_WITH_DATA.replace('"Data"', '"ImageData"').replace("data_param", "image_data_param")
    net = net.replace("backend: LMDB ", "").replace("../../data/half0A_valid/lmdb", "valid.txt")
    (path / "train_val.prototxt").write_text(net)
    (path / "valid.txt").write_text("a.jpg 0\nb.jpg 1\nc.jpg 1\n")
    assert [row.valid_images for row in results.collect(tmp_path).rows] == [3]


def test_the_authors_test_each_image_of_a_half_twice(published: dict[str, Row]) -> None:
    images = {name: row.valid_images for name, row in published.items()}
    assert (images["half0A"], images["netbase"], images["nolearn_1_1"]) == (25000, 50000, 50000)
    assert {row.cut for row in published.values()} == {None}


def test_the_name_of_the_cut_comes_from_its_record(tmp_path: Path) -> None:
    network(tmp_path, "half0B", log([3, 2], [0.5]))
    for name, record in (("transfer0A0B_1_2", None), ("transfer0A0B_1_3", "{}")):
        path = network(tmp_path, name, log([3, 2], [0.5]))
        (path / "cut.json").write_text(cut_text(CutRecord(2, "inception_3a/output", ("conv1",))))
        if record:
            (path / "cut.json").write_text(record)
    found = results.collect(tmp_path)
    assert [row.cut for row in found.rows] == [None, "inception_3a/output", None]
    (problem,) = found.problems
    assert "cut.json is not a record of a cut" in problem


def test_a_given_base_has_no_results_and_is_passed_over(tmp_path: Path) -> None:
    network(tmp_path, "transfermineAB_1_2", log([3, 2], [0.5]))
    for name, manifest in (("halfmineA", {"given": "x.caffemodel"}), ("halfmineB", {})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(json.dumps(manifest))
    found = results.collect(tmp_path)
    assert [row.network.name for row in found.rows] == ["halfmineB", "transfermineAB_1_2"]
    assert found.problems == ()


def test_logs_that_lack_the_end_of_a_finished_training(tmp_path: Path) -> None:
    path = network(tmp_path, "netbase", log([3, 2], [0.5]), max_iter=40)
    manifest = {"finished": "2026-01-01", "max_iter": 40}
    (path / "manifest.json").write_text(json.dumps(manifest))
    (problem,) = results.collect(tmp_path).problems
    assert problem.endswith(
        "netbase is trained to iteration 40, but its logs end at 20; its results are of what is "
        "left of them"
    )
    (path / "job.o1").write_text(log([3, 2, 1], [0.5]))
    assert results.collect(tmp_path).problems == ()
