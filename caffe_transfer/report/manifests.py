"""Manifests as a report reads them: data by anyone's hand, or of another version."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from caffe_transfer import paths

Manifest = Mapping[str, Any]


def manifest_of(folder: Path) -> Manifest:
    """The manifest in a network's folder; empty where there is none, or one that is damaged."""
    try:
        manifest = json.loads(paths.NetworkFolder(folder).manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}
