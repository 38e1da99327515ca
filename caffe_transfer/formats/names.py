"""What the name of a file says about its format.

`copy` imports this module: it needs neither numpy nor protobuf.
"""

from pathlib import Path

from caffe_transfer.errors import BadInput
from caffe_transfer.paths import HDF5_SUFFIX

MODEL_SUFFIX = ".caffemodel"
STATE_SUFFIX = ".solverstate"
MEAN_SUFFIX = ".binaryproto"
TEXT_SUFFIX = ".prototxt"
MODEL_SUFFIXES = (MODEL_SUFFIX, MODEL_SUFFIX + HDF5_SUFFIX)
STATE_SUFFIXES = (STATE_SUFFIX, STATE_SUFFIX + HDF5_SUFFIX)


def has_no_suffix(path: Path) -> bool:
    """Whether a name says nothing about a format: no suffix, or a number as in 2014."""
    return not path.suffix or path.suffix[1:].isdigit()


def check_model_name(path: Path) -> None:
    """Refuse to write a model under a name that promises another format.

    Raises:
        BadInput: the name ends neither in .caffemodel, .caffemodel.h5 or .h5 nor in no suffix.
    """
    is_model = path.name.endswith(MODEL_SUFFIXES) or has_no_suffix(path)
    is_other_hdf5 = path.name.endswith(STATE_SUFFIXES)
    if not is_model and (path.suffix != HDF5_SUFFIX or is_other_hdf5):
        raise BadInput(
            f"{path} is no name for a Caffe model; use one that ends in {MODEL_SUFFIX}, or in "
            f"{MODEL_SUFFIX}{HDF5_SUFFIX} for HDF5"
        )


def check_text_name(path: Path) -> None:
    """Refuse to write a prototxt under the name of one of Caffe's binary files.

    Raises:
        BadInput: the name ends as a model's, a solver state's or a mean's does.
    """
    if path.name.endswith((*MODEL_SUFFIXES, *STATE_SUFFIXES, MEAN_SUFFIX, HDF5_SUFFIX)):
        raise BadInput(f"{path} is no name for a prototxt; use one that ends in {TEXT_SUFFIX}")
