"""For which GPUs a library has code."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.errors import FormatError
from caffe_transfer.formats.fatbin import GpuCode, read_gpu_code

Entry = tuple[int, int, bytes]  # kind, architecture, code

DATA = Path(__file__).parent / "data"
ARCHITECTURES = st.sampled_from([30, 61, 75, 90, 100, 120])
ENTRIES = st.lists(st.tuples(st.integers(1, 2), ARCHITECTURES, st.binary(max_size=99)), max_size=9)


def fat_binary(entries: list[Entry]) -> bytes:
    body = b"".join(
        struct.pack("<HHIQ12xI32x", kind, 0x101, 64, len(code), architecture) + code
        for kind, architecture, code in entries
    )
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def test_what_nvcc_writes() -> None:
    """Of an empty kernel, by CUDA 13.0: -gencode of sm_75, sm_90 and compute_90.

    `cuobjdump --list-elf --list-ptx` of the same file names sm_75, sm_90 and sm_90's PTX.
    """
    code = read_gpu_code(DATA / "cuda-13.0.fatbin")
    assert code == GpuCode(machine=((7, 5), (9, 0)), ptx=((9, 0),))
    assert str(code) == "7.5, 9.0 and later"


@given(parts=st.lists(st.tuples(ENTRIES, st.binary(max_size=50)), max_size=4))
def test_all_entries_of_all_fat_binaries(
    parts: list[tuple[list[tuple[int, int, bytes]], bytes]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("library") / "lib.so"
    path.write_bytes(b"\x7fELF" + b"".join(fat_binary(entries) + rest for entries, rest in parts))
    every = [(kind, divmod(number, 10)) for entries, _ in parts for kind, number, _ in entries]
    machine = tuple(sorted({number for kind, number in every if kind == 2}))
    ptx = tuple(sorted({number for kind, number in every if kind == 1}))
    assert read_gpu_code(path) == (GpuCode(machine, ptx) if every else None)


@pytest.mark.parametrize("length", [20, 50, 70])
def test_one_that_is_cut_off(length: int, tmp_path: Path) -> None:
    path = tmp_path / "lib.so"
    path.write_bytes(fat_binary([(2, 90, b"code")] * 2)[:length])
    with pytest.raises(FormatError, match=r"the GPU code of .*lib.so is cut off; install it again"):
        read_gpu_code(path)


def test_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "lib.so"
    path.touch()
    with pytest.raises(FormatError, match=r"lib\.so is not a library or program: .*again"):
        read_gpu_code(path)


@pytest.mark.parametrize(
    ("card", "runs"),
    [((7, 5), True), ((8, 0), True), ((8, 9), True), ((7, 0), False), ((6, 1), False),
     ((9, 0), False), ((12, 0), False)],
)  # fmt: skip
def test_machine_code_runs_on_cards_of_its_major_number(card: tuple[int, int], runs: bool) -> None:
    assert GpuCode(((7, 5), (8, 0)), ()).runs_on(card) == runs


def test_a_driver_compiles_ptx_for_later_cards() -> None:
    code = GpuCode(((9, 0),), ((9, 0),))
    assert [code.runs_on(card) for card in ((8, 9), (9, 0), (10, 0), (12, 0))] == [
        False, True, True, True,
    ]  # fmt: skip
