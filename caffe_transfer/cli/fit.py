"""How the fit of a model and a net is printed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from caffe_transfer.cli.wrapping import echo, echo_wrapped
from caffe_transfer.comparison.fit import BlobFit, Fit
from caffe_transfer.units import shape_text

_UNSURE = (
    "These axes depend on the size of the images, which the net does not say; to compare them as "
    "well, name the deploy net, or give inspect --net the size with --shape C,H,W"
)


def print_fit(found: Fit, model: Path, net: Path, *, brief: bool = False) -> None:
    """Print a summary, then every blob that is missing, unexpected or misshapen."""
    verdict = "fits" if found.fits else "does not fit"
    echo(f"{verdict:18} {model} and {net}: {_counts(found)}")
    if not brief:
        for line in _blobs(found):
            echo(line)
        echo_wrapped("", _what_caffe_does(found))
        if found.unsure:
            echo_wrapped("", _UNSURE)


def _counts(found: Fit) -> str:
    counts = [
        f"{len(blobs)} {what}"
        for what, blobs in (
            ("missing", found.missing),
            ("unexpected", found.unexpected),
            ("misshapen", found.misshapen),
        )
        if blobs
    ]
    unsure = f", {len(found.unsure)} as far as their shapes are known" if found.unsure else ""
    return ", ".join([f"{found.fitting} blobs fit{unsure}", *counts])


def _blobs(found: Fit) -> Iterator[str]:
    yield from _listed("missing, only in the net", found.missing)
    yield from _listed("unexpected, only in the model", found.unexpected)
    yield from _listed("misshapen, in the model and in the net", found.misshapen)
    yield from _listed("known in part, in the model and in the net", found.unsure)


def _what_caffe_does(found: Fit) -> str:
    if found.miscounted:
        names = " ".join(found.miscounted)
        return f"Caffe refuses to load it: another number of blobs in {names}"
    if found.misshapen:
        return "Caffe refuses to load it: shapes differ"
    loads = "Caffe loads it"
    if found.missing:
        loads += ", and draws what is missing by the net's fillers"
    elif found.unexpected:
        loads += ", and ignores what is unexpected"
    return loads + (", provided that the axes shown as ? fit" if found.unsure else "")


def _listed(title: str, blobs: Sequence[BlobFit]) -> Iterator[str]:
    if blobs:
        yield f"{title}:"
    width = max((len(blob.name) for blob in blobs), default=0)
    for blob in blobs:
        shapes = [shape_text(shape) for shape in (blob.in_model, blob.in_net) if shape is not None]
        yield f"  {blob.name:{width}}  {'  '.join(shapes)}"
