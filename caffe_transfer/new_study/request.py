"""What a new study is made of, and what is refused before anything else is looked at."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from caffe_transfer import paths
from caffe_transfer.errors import BadInput


@dataclass(frozen=True)
class Request:
    """What a user asks for.

    Attributes:
        file: the study's file, which is not there yet.
        images: a folder of images as the source "folder" takes it.
        net: a built-in net, a prototxt or a Jinja template; None to choose one.
        weights: a model of the net, to be the base of the transfers; None to train bases on two
            halves of the classes.
        minutes: time that all training may take on this machine.
    """

    file: Path
    images: Path
    net: str | None = None
    weights: Path | None = None
    minutes: float = 60


def check_request(request: Request) -> None:
    """Refuse a file that cannot be written or run, and times that are none.

    Raises:
        BadInput: names the file or the option.
    """
    if not 0 < request.minutes < math.inf:
        raise BadInput(f"--minutes {request.minutes:g} leaves no time to train; give more than 0")
    for path in (request.file, request.images, request.net, request.weights):
        if path is not None and not str(path).isprintable():
            raise BadInput(f"{str(path)!r} cannot stand in a TOML file; rename it")
    _check_file(request.file)
    _check_run_folder(request.file, request.images)


def name_in(folder: Path, target: Path) -> str:
    """How a file in `folder` names another: relative where it lies below or beside the folder."""
    target, folder = target.absolute(), folder.absolute()
    for start, prefix in ((folder, ""), (folder.parent, "..")):
        if target != start and target.is_relative_to(start) and start != Path(start.anchor):
            name = os.path.join(prefix, target.relative_to(start))
            # ".." leads elsewhere from a folder that is reached through a link.
            if (folder / name).exists() and (folder / name).samefile(target):
                return name
    return str(target)


def _check_file(file: Path) -> None:
    if file.suffix != paths.STUDY_SUFFIX:
        raise BadInput(f"{file} does not end in {paths.STUDY_SUFFIX}, as a study's file does")
    if file.exists() or file.is_symlink():
        raise BadInput(f"{file} is there already; remove it or name another file")
    folder = file.absolute().parent
    if not folder.is_dir():
        raise BadInput(f"there is no folder {folder} to write {file.name} into; make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BadInput(f"{folder} is not writable; name a file in another folder")


def _check_run_folder(file: Path, images: Path) -> None:
    """`run` writes into a folder beside the file: it must not be mixed with the images."""
    run, given = (Path(os.path.realpath(each)) for each in (paths.default_run(str(file)), images))
    if run.is_relative_to(given) or given.is_relative_to(run):
        raise BadInput(
            f"a run of {file} would write into {paths.default_run(str(file))}, among the images of "
            f"{images}; name another file"
        )
