"""`data`: fetches images and writes lists, databases and means."""

from pathlib import Path

import click

from caffe_transfer.cli.show import Screen
from caffe_transfer.cli.stopping import stop_on_signal
from caffe_transfer.cli.wrapping import echo
from caffe_transfer.data_prep import copies, lists, lmdbs, means, published, sources, splits
from caffe_transfer.data_prep.left_out import read_left_out, summary
from caffe_transfer.data_prep.names import shown
from caffe_transfer.data_prep.progress import stoppable
from caffe_transfer.data_prep.stores import own_paths
from caffe_transfer.paths import DataFolder

PATH = click.Path(path_type=Path)


@click.group("data")
def data_command() -> None:
    """Fetch images; write image lists, databases and means.

    \b
    Example:
      caffe-transfer data fetch fashion-mnist --out images
      caffe-transfer data split --images images --out data --split 0
      caffe-transfer data lmdb data/half0A_train/files.txt images/train \\
          data/half0A_train/lmdb --size 28 --gray --shuffle 1
      caffe-transfer data mean data/half0A_train/lmdb data/mean.binaryproto
    """


@data_command.command("fetch")
@click.argument("source", type=click.Choice(list(sources.SOURCES)))
@click.option("--out", type=PATH, required=True, help="Folder for the images and their lists.")
@click.option("--from", "given", type=PATH, help="Folder or archive to take them from.")
@click.option(
    "--valid-fraction",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of each class for validation, where the folder is not divided.  [default: 0.2]",
)
def fetch_command(source: str, out: Path, given: Path | None, valid_fraction: float | None) -> None:
    """Fetch images into a folder with their lists, unless they are there already.

    A folder of your own has train/CLASS/ and valid/CLASS/, as for PyTorch's ImageFolder, or CLASS/
    alone, of whose images a share is set aside for validation.

    ilsvrc12 takes a folder with ImageNet's two parts, each as you have it; tars are read in place:

    \b
      train/ or val/    of WNID/ (PyTorch), WNID.tar, or shards of KEY.jpg, KEY.cls
      val/              of the 50,000 files
      *.tar             ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar
      ILSVRC/           as Kaggle packs it
      train.txt val.txt Caffe's lists; each decides where it is there
      labels            asked for where nothing above tells them: val.txt,
                        ILSVRC2012_devkit_t12.tar.gz or LOC_val_solution.csv

    \b
    Example:
      caffe-transfer data fetch folder --from photos --out images
      caffe-transfer data fetch ilsvrc12 --from ILSVRC2012 --out images
      caffe-transfer data fetch tiny-imagenet --from tiny-imagenet-200.zip --out images
    """
    with stop_on_signal(patient=False) as stop, Screen(total=1) as screen:
        progress = stoppable(screen.step, stop)
        found = sources.fetch(source, out, given, progress, valid_fraction=valid_fraction)
    counts = ", ".join(f"{len(images)} {part}" for part, images in found.lists.items())
    echo(f"{out}: {len(found.classes)} classes, {counts} images")
    if files := read_left_out(found.folder.left_out):
        echo(f"{summary(files)}; {found.folder.left_out} lists them")


@data_command.command("split")
@click.option("--images", type=PATH, help="Folder that `data fetch` wrote.")
@click.option("--out", type=PATH, required=True, help="Folder for the lists.")
@click.option("--split", "keys", multiple=True, help="0, 1, ... (random halves) or natman.")
@click.option(
    "--custom", nargs=3, metavar="NAME A.txt B.txt", help="A split given by two lists of classes."
)
@click.option(
    "--per-class", type=int, multiple=True, help="A reduced set: the first K images of each class."
)
@click.option("--verify", is_flag=True, help="Compare with the authors' published MD5 sums.")
@click.option(
    "--published", "authors", type=PATH, help="Folder of their lists, to show what differs."
)
def split_command(
    images: Path | None,
    out: Path,
    keys: tuple[str, ...],
    custom: tuple[str, str, str] | None,
    per_class: tuple[int, ...],
    verify: bool,
    authors: Path | None,
) -> int:
    """Write the lists of tasks A and B, and the map from old to new labels.

    With --verify, the exit status is 1 if a list differs from the authors'.

    \b
    Example:
      caffe-transfer data split --images images --out data --split 0 --split natman
    """
    data = DataFolder(out)
    if images is not None:
        source = sources.read_source(images)
        for path in splits.write_all(source.lists, source.classes, data, keys, custom, per_class):
            echo(path)
    elif not verify:
        raise click.UsageError("name the images with --images, or give --verify.")
    if not verify:
        return 0
    verdicts = published.verify(data, DataFolder(authors) if authors else None)
    for each in verdicts:
        echo(f"{each.name:20} {each.state}{': ' if each.detail else ''}{each.detail}")
    return 1 if any(each.state is published.State.DIFFERENT for each in verdicts) else 0


@data_command.command("lmdb")
@click.argument("given", metavar="LIST ROOT OUT", nargs=-1, required=True, type=PATH)
@click.option("--size", type=click.IntRange(1), help="Resize to SIZE x SIZE pixels.")
@click.option("--gray", is_flag=True, help="Convert to grayscale, one channel.")
@click.option(
    "--shuffle", type=int, metavar="SEED", help="Shuffle the list; Caffe itself never does."
)
@click.option("--strict", is_flag=True, help="Fail at images that cannot be used.")
@click.option(
    "--from-view",
    "view",
    metavar="VIEW",
    type=PATH,
    help="Copy the records of a view, which caffe-torch alone reads; OUT is all else.",
)
def lmdb_command(
    given: tuple[Path, ...],
    size: int | None,
    gray: bool,
    shuffle: int | None,
    strict: bool,
    view: Path | None,
) -> None:
    """Write the images of a list to an LMDB, byte for byte as convert_imageset does.

    Images that cannot be used, truncated ones too, are left out and listed beside the LMDB.  What
    is stopped or killed goes on when the same command is run again.

    \b
    Example:
      caffe-transfer data lmdb train.txt images/train train_lmdb --size 256 --shuffle 1
      caffe-transfer data lmdb --from-view data/half0A_train/lmdb half0A_train_lmdb
    """
    if view is not None:
        if len(given) != 1 or size or gray or strict or shuffle is not None:
            raise click.UsageError("--from-view takes OUT, and no other option.")
        with stop_on_signal(patient=False) as stop, Screen(total=1) as screen:
            count = copies.write_copy(view, given[0], stoppable(screen.step, stop))
        echo(f"{given[0]}: {count} images")
        return
    if len(given) != 3:
        raise click.UsageError("give LIST, ROOT and OUT.")
    image_list, root, out = given
    images = lists.read(image_list)
    with stop_on_signal(patient=False) as stop, Screen(total=1) as screen:
        written = lmdbs.write_lmdb(
            images,
            root,
            out,
            size=size,
            gray=gray,
            shuffle=shuffle,
            strict=strict,
            progress=stoppable(screen.step, stop),
        )
    echo(f"{out}: {written.count} images, {len(written.left_out)} left out")
    places = own_paths(root, [each.path for each in written.left_out])
    for place, each in zip(places, written.left_out, strict=True):
        echo(f"{each.fault}: {shown(place)}")


@data_command.command("mean")
@click.argument("databases", metavar="LMDB...", nargs=-1, required=True, type=PATH)
@click.argument("out", type=PATH)
def mean_command(databases: tuple[Path, ...], out: Path) -> None:
    """Write the mean image of databases, byte for byte as compute_image_mean does.

    \b
    Example:
      caffe-transfer data mean train_lmdb mean.binaryproto
    """
    with stop_on_signal(patient=False) as stop, Screen(total=1) as screen:
        means.write_mean(databases, out, stoppable(screen.step, stop))
    echo(out)
