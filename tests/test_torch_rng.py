"""Random numbers of Caffe, judged by real Caffe bit for bit."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

from caffe_transfer.caffe_torch import fillers, ziggurat
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net

FILLERS = [
    'type: "gaussian" std: 0.01',
    'type: "constant" value: 0.7',
    'type: "uniform" min: -0.3 max: 0.7',
    'type: "xavier"',
    'type: "msra" variance_norm: FAN_OUT',
    'type: "gaussian" mean: 0.5 std: 2 sparse: 3',
    'type: "positive_unitball"',
    'type: "xavier" variance_norm: AVERAGE',
    'type: "msra"',
]
# Enough numbers that some lie beyond the ziggurat's last strip, and some of these are refused.
OUTPUTS, INPUTS = 1000, 700
FILL = """
import sys, caffe, numpy
caffe.set_random_seed(int(sys.argv[1]))
net = caffe.Net(sys.argv[2], caffe.TEST)
numpy.savez(sys.argv[3], *[net.params[name][0].data for name in net.params])
"""


def net(texts: list[str]) -> str:
    layers = [
        f'layer {{ name: "{n:02}" type: "InnerProduct" bottom: "d" top: "{n}" '
        f"inner_product_param {{ num_output: {OUTPUTS} bias_term: false "
        f"weight_filler {{ {text} }} }} }}\n"
        for n, text in enumerate(texts)
    ]
    shape = f"shape {{ dim: 1 dim: {INPUTS} }}"
    head = f'layer {{ name: "d" type: "Input" top: "d" input_param {{ {shape} }} }}\n'
    return head + "".join(layers)


@pytest.mark.parametrize("seed", [0, 1701, 2**31 - 1])
def test_fillers_draw_what_caffe_draws(
    seed: int, pycaffe: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "net").write_text(net(FILLERS))
    pycaffe(FILL, str(seed), tmp_path / "net", tmp_path / "drawn.npz")
    theirs, rng = np.load(tmp_path / "drawn.npz"), Rng(seed)
    for name, text in zip(theirs.files, FILLERS, strict=True):
        filler = text_format.Parse(text, pb.FillerParameter())
        ours = fillers.fill(filler, (OUTPUTS, INPUTS), rng, "x")
        np.testing.assert_array_equal(ours, theirs[name], err_msg=text)


def test_the_bilinear_filler(pycaffe: Callable[..., str], tmp_path: Path) -> None:
    text = net([]).replace(f"dim: {INPUTS}", "dim: 2 dim: 5 dim: 5") + (
        'layer { name: "u" type: "Deconvolution" bottom: "d" top: "u" convolution_param {'
        ' num_output: 2 group: 2 kernel_size: 4 stride: 2 bias_term: false'
        ' weight_filler { type: "bilinear" } } }'
    )  # fmt: skip
    (tmp_path / "net").write_text(text)
    pycaffe(FILL, "0", tmp_path / "net", tmp_path / "drawn.npz")
    theirs = np.load(tmp_path / "drawn.npz")["arr_0"]
    filler = pb.FillerParameter(type="bilinear")
    np.testing.assert_array_equal(fillers.fill(filler, (2, 1, 4, 4), Rng(0), "x"), theirs)


def test_normals_are_the_same_whatever_the_blocks() -> None:
    whole = Rng(7).gaussian(300_000, 0, 1)
    rng = Rng(7)
    parts = [rng.gaussian(count, 0, 1) for count in (1, 2, 261_997, 38_000)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert np.abs(whole).max() > 3.45  # some lie beyond the last strip
    assert abs(whole.mean()) < 0.01
    assert abs(whole.std() - 1) < 0.01


def test_the_largest_draws_are_drawn_again() -> None:
    draws = np.zeros(ziggurat.LOOKAHEAD + 1, np.uint32)
    undecided = np.uint32(0xFFFFFF00 | 2 << 1)  # the far end of strip 2
    draws[:3] = undecided, 2**32 - 1, 0  # a second draw that rounds to 1, then the lowest height
    value, used = ziggurat.normals(draws, 1)
    assert used == 3
    assert value[0] < 0


def test_uniform_never_exceeds_its_end_and_bernoulli_keeps_its_rate() -> None:
    values = Rng(3).uniform(100_000, -1, 2)
    assert values.dtype == np.float32
    assert -1 <= values.min() < -0.999
    assert 1.999 < values.max() <= 2
    assert abs(Rng(3).bernoulli(100_000, 0.3).mean() - 0.3) < 0.01
    assert not Rng(3).bernoulli(9, 0).any()
    assert Rng(3).bernoulli(9, 1).all()


def test_whole_numbers_are_even() -> None:
    rng = Rng(5)
    counts = np.bincount([rng.below(6) for _ in range(6000)], minlength=6)
    assert len(counts) == 6
    assert counts.min() > 850


def test_seeds_count_by_their_lowest_32_bits() -> None:
    assert Rng(2**32 + 5).one() == Rng(5).one() != Rng(6).one()
    rng = Rng(5)
    rng.gaussian(10, 0, 1)
    rng.seed(5)
    assert rng.one() == Rng(5).one()
    assert Rng().one() != Rng().one()


def test_unknown_fillers_are_named() -> None:
    with pytest.raises(BadInput, match="layer 'fc' has the unknown filler 'ones'; the fillers are"):
        fillers.fill(pb.FillerParameter(type="ones"), (1,), Rng(0), "fc")
    with pytest.raises(BadInput, match="layer 'fc': the bilinear filler needs square filters"):
        fillers.fill(pb.FillerParameter(type="bilinear"), (1, 1, 2, 3), Rng(0), "fc")


@pytest.mark.parametrize(
    ("filler", "ours", "theirs"),
    [
        ('type: "uniform" min: 1 max: 0.5', "finite numbers min <= max, not 1 and 0.5", "a <= b"),
        ('type: "uniform" min: nan', "finite numbers min <= max, not nan and 1", "a <= b"),
        ('type: "gaussian" std: 0', "a std above 0, not 0", "sigma > 0"),
        ('type: "gaussian" std: nan', "a std above 0, not nan", "sigma > 0"),
        ('type: "gaussian" sparse: 5', "a sparse of -1 to 4, .* not 5", "p <= 1"),
        ('type: "gaussian" sparse: -2', "a sparse of -1 to 4, .* not -2", "sparse >= -1"),
    ],
)
def test_settings_that_caffe_refuses(
    filler: str, ours: str, theirs: str, caffe_bin: Path, tmp_path: Path
) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }\n'
        'layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc" '
        f"inner_product_param {{ num_output: 4 weight_filler {{ {filler} }} }} }}\n"
    )
    given = read_net(net).layer[1].inner_product_param.weight_filler
    with pytest.raises(BadInput, match=f"layer 'fc': the {given.type} filler needs {ours}"):
        fillers.fill(given, (4, 3), Rng(0), "fc")
    done = subprocess.run([caffe_bin, "time", f"--model={net}"], capture_output=True, text=True)
    assert f"Check failed: {theirs}" in done.stderr


@pytest.mark.parametrize("settings", ["max: inf", "min: -inf", "min: -3e38 max: 3e38"])
def test_ranges_that_no_number_is_drawn_from(settings: str) -> None:
    filler = text_format.Parse(f'type: "uniform" {settings}', pb.FillerParameter())
    with pytest.raises(BadInput, match="the uniform filler needs finite numbers min <= max"):
        fillers.fill(filler, (4, 3), Rng(0), "fc")


@given(
    st.lists(st.integers(0, 1500), max_size=4),
    st.integers(0, 1500),
    st.sampled_from(["raw", "skip"]),
)
def test_a_state_goes_on_elsewhere(before: list[int], after: int, way: str) -> None:
    one, other = Rng(5), Rng(6)
    for count in before:
        one.gaussian(count, 0, 1)  # which looks ahead
        one.below(7)
    other.restore(one.state())
    kept = one.state()
    if way == "raw":
        one.raw(after)
    else:
        one.skip(after)
    other.raw(after)
    assert one.raw(700).tolist() == other.raw(700).tolist()
    other.restore(kept)  # which stayed as it was
    other.skip(after + 700)
    assert one.one() == other.one()


@pytest.mark.parametrize(
    "state",
    [{"at": np.array(625)}, {"at": np.array(-1)}, {"key": np.zeros(623, np.uint32)}],
)
def test_what_is_no_state(state: dict[str, npt.NDArray[np.uint32]]) -> None:
    with pytest.raises(ValueError, match="no state of an MT19937"):
        Rng(1).restore({**Rng(1).state(), **state})


@pytest.mark.parametrize("kind", ["constant", "uniform", "gaussian", "xavier", "msra", "bilinear"])
def test_a_blob_without_numbers_is_not_filled(kind: str) -> None:
    with pytest.raises(BadInput, match=rf"the {kind} filler needs a blob of numbers .* shape 2x0"):
        fillers.fill(pb.FillerParameter(type=kind), (2, 0), Rng(0), "fc")
