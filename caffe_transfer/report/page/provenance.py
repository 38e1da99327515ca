"""What was asked of a run and what answered: from its study file and its networks' manifests.

A manifest is read here as the data that it is, by anyone's hand or an earlier version's: what is
missing or has another form is left out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caffe_transfer import paths
from caffe_transfer.errors import CaffeTransferError
from caffe_transfer.formats.hashes import sha256
from caffe_transfer.formats.resume import AS_CAFFE
from caffe_transfer.report.manifests import (
    Manifest,
    first_iteration,
    manifest_of,
    resume_of,
    runs_of,
)
from caffe_transfer.report.results import Row, networks_folder
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.study import Study

Facts = tuple[tuple[str, str], ...]  # label, value


@dataclass(frozen=True)
class Provenance:
    """Where results come from.

    Attributes:
        facts: of the whole run.
        files: the files that training read, each with its hash.
        study_text: the run's study file; empty for a folder of networks alone.
        networks: facts of each network, by its name.
    """

    facts: Facts
    files: Facts = ()
    study_text: str = ""
    networks: Mapping[str, Facts] | None = None

    def of(self, name: str) -> Facts:
        """The facts of a network."""
        return (self.networks or {}).get(name, ())


def provenance(results_dir: Path, rows: Iterable[Row]) -> Provenance:
    """Read the manifests of networks, and the study file if they lie in a run's folder.

    Args:
        results_dir: a folder of networks, or a run's folder.
    """
    rows = list(rows)
    folder = networks_folder(results_dir)
    file = paths.RunFolder(folder.parent).study
    text, study = "", None
    if folder.name == paths.RESULTS and file.is_file():
        text = file.read_text(encoding="utf-8", errors="replace")
        study = _study(file)
    manifests = {row.network.name: manifest_of(folder / row.network.name) for row in rows}
    found = [each for each in manifests.values() if each]
    facts = [*(_asked(study) if study else ()), *_seeds(rows), *_answered(found)]
    if not found and not text:
        facts.insert(0, ("study", "unknown: beside these logs lie no study file and no manifest"))
    if text:
        facts.append(("SHA-256 of the study file", sha256(file)))
    return Provenance(
        tuple(facts),
        _files(found),
        text,
        {name: _of_network(manifest) for name, manifest in manifests.items()},
    )


def _study(file: Path) -> Study | None:
    try:
        return load_study(str(file))
    except CaffeTransferError:  # written by a later version, or by hand: its text is shown
        return None


def _asked(study: Study) -> Iterable[tuple[str, str]]:
    images, solver = study.images, study.solver
    yield "study", study.name
    yield "net", str(study.net)
    per_class = [
        f"{count} {what} a class"
        for count, what in ((images.train_per_class, "to train"), (images.valid_per_class, "valid"))
        if count
    ]
    yield "images", ", ".join([images.source, f"{images.classes} classes", *per_class])
    yield (
        "training",
        f"{solver.max_iter} iterations of {study.batch} images, learning rate {solver.base_lr:g}",
    )


def _seeds(rows: Iterable[Row]) -> Iterable[tuple[str, str]]:
    networks = [row.network for row in rows]
    yield "seeds", ", ".join(map(str, sorted({network.seed for network in networks})))
    if splits := sorted({network.split for network in networks if network.split}):
        yield "splits", ", ".join(splits)


def _answered(manifests: Iterable[Manifest]) -> Iterable[tuple[str, str]]:
    manifests = list(manifests)
    engines = _counted(_engine(each) for each in manifests)
    if engines:
        yield "engine", engines
    if versions := _counted(_versions(each) for each in manifests):
        yield "versions", versions
    started = [time for each in manifests for time in _starts(each)]
    finished = [str(each["finished"]) for each in manifests if each.get("finished")]
    if started:
        yield "trained from", min(started)
    if finished:
        yield "trained until", max(finished)


def _counted(texts: Iterable[str]) -> str:
    """The different texts, each with its number of networks if there are several."""
    counts = Counter(text for text in texts if text)
    if len(counts) == 1:
        return next(iter(counts))
    return "; ".join(f"{text} ({count} of them)" for text, count in counts.most_common())


def _engine(manifest: Manifest) -> str:
    engine = manifest.get("engine")
    if not isinstance(engine, dict):
        return ""
    name, version = str(engine.get("name", "")), str(engine.get("version", ""))
    return version if name in version else f"{name} {version}".strip()


def _versions(manifest: Manifest) -> str:
    versions = manifest.get("versions")
    if not isinstance(versions, dict):
        return ""
    return ", ".join(f"{str(name).replace('_', '-')} {value}" for name, value in versions.items())


def _starts(manifest: Manifest) -> list[str]:
    starts = [run.get("started") for run in runs_of(manifest)]
    return [str(each) for each in starts if each]


def _resumes(manifest: Manifest) -> str:
    """Where training was resumed, and how."""
    return "; ".join(
        f"at iteration {first_iteration(run)}, {how}"
        + (", with data from record 0" if how == AS_CAFFE else "")
        for run in runs_of(manifest)
        if (how := resume_of(run))
    )


def _files(manifests: Iterable[Manifest]) -> Facts:
    """The data that several networks read; "../../data/mean.binaryproto" is one file for all."""
    seen: dict[str, str] = {}
    for manifest in manifests:
        for name, value in _inputs(manifest).items():
            if name.startswith("../"):
                seen[name.removeprefix("../../")] = _hash(value)
    return tuple(sorted(seen.items()))


def _inputs(manifest: Manifest) -> Mapping[str, Any]:
    inputs = manifest.get("inputs")
    return inputs if isinstance(inputs, dict) else {}


def _hash(value: object) -> str:
    if isinstance(value, dict):  # of a database, or of a view of one
        return ", ".join(f"{str(key).replace('_', ' ')} {part}" for key, part in value.items())
    return f"SHA-256 {value}"


def _of_network(manifest: Manifest) -> Facts:
    facts = [("engine", _engine(manifest))]
    if manifest.get("random_seed") is not None:
        facts.append(("random seed", str(manifest["random_seed"])))
    facts.append(("started", ", ".join(_starts(manifest))))
    facts.append(("resumed", _resumes(manifest)))
    facts.append(("finished", str(manifest.get("finished") or "")))
    facts += [
        (name, _hash(value))
        for name, value in _inputs(manifest).items()
        if not name.startswith("../")
    ]
    if isinstance(model := manifest.get("model"), dict):
        facts += [(str(name), _hash(value)) for name, value in model.items()]
    if isinstance(frozen := manifest.get("frozen"), dict) and frozen:
        facts.append(("frozen, found unchanged", ", ".join(frozen)))
    return tuple((label, value) for label, value in facts if value)
