"""Checks of a study's keys that depend on each other."""

from caffe_transfer.errors import BadInput
from caffe_transfer.studies.network import Mode
from caffe_transfer.studies.schema import Place, shown
from caffe_transfer.studies.solver import check_solver
from caffe_transfer.studies.study import CustomSplit, Images, Study


def check_study(study: Study, file: str) -> None:
    """Refuse settings that do not go together.

    Args:
        file: the study's file, for messages.

    Raises:
        BadInput: names the file and the key.
    """
    _check_images(study.images, Place(file, "images"))
    check_solver(study.solver, Place(file, "solver"))
    if study.reduced_solver is not None:
        check_solver(study.reduced_solver, Place(file, "reduced_solver"))
    _check_networks(study, file)
    for name, split in study.custom_splits.items():
        _check_split(name, split, study.images.classes, file)


def _check_images(images: Images, place: Place) -> None:
    if images.crop is not None and images.crop > images.size:
        raise place.wrong("crop", images.crop, f"no more than images.size, {images.size}")
    if images.natman_classes and sum(images.natman_classes) != images.classes:
        raise place.wrong(
            "natman_classes", images.natman_classes, f"two numbers that sum to {images.classes}"
        )
    if images.mean_values is None:
        return
    if images.mean is not None:
        raise place.wrong("mean_values", images.mean_values, "left out beside images.mean")
    if len(images.mean_values) not in (1, images.channels):
        count = "1 number" if images.gray else f"1 or {images.channels} numbers"
        raise place.wrong("mean_values", images.mean_values, count)


def _check_split(name: str, split: CustomSplit, classes: int, file: str) -> None:
    listed = [task.classes for task in (split.A, split.B) if isinstance(task.classes, tuple)]
    if len(listed) < 2:
        return
    a, b = listed
    both = sorted(set(a) & set(b))
    if both and not split.overlap:
        raise BadInput(
            f"{file}: splits.{name} has the class {shown(both[0])} in A and in B; leave it in one, "
            "or set overlap = true"
        )
    if len({*a, *b}) > classes:
        raise BadInput(
            f"{file}: splits.{name} has {len({*a, *b})} classes; it must be no more than "
            f"images.classes, {classes}"
        )


def _check_networks(study: Study, file: str) -> None:
    for network in study.networks:
        try:
            classes = study.classes_of(network)
        except BadInput as error:
            raise BadInput(f"{file}: {error}") from error
        if not classes:
            raise Place(file, "images").wrong(
                "classes", study.images.classes, "2 or more, to be split into halves"
            )
        if study.cuts is not None and network.n + network.preserve > len(study.cuts):
            raise BadInput(
                f"{file}: network {network.name} needs cut {network.n + network.preserve}, but "
                f"cuts names {len(study.cuts)}"
            )
        split = study.custom_splits.get(network.split or "")
        if network.mode is Mode.BASE and split and split.task(network.target or "").model:
            raise BadInput(
                f"{file}: the base {network.name} is given by splits.{network.split}."
                f"{network.target}.model and never trained; leave it out of [[networks]]"
            )
