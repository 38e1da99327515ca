# make demo    sets up, builds Caffe once, runs the study fashion-mnist: figures in demo/report;
#              where Caffe cannot be built, caffe-torch trains instead
# make test    sets up, builds Caffe once, lints, runs the tests
# make kill    kills programs and engines at random points, runs them again, and prints what held
# make fuzz    gives broken files to every reader and command for an hour and more (FUZZ_SECONDS,
#              FUZZ_SEED)
# make cluster-test  runs the paper's 170 networks on this machine and on the clusters it can make
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= demo
IMAGE ?= caffe-transfer:cpu
PREFIX = "$$($(BIN)/python -c 'from caffe_transfer import paths; print(paths.caffe_prefix())')"
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable

.PHONY: demo test kill fuzz cluster-test caffe caffe-gpu browser slurm lint image-test bench docs clean

demo: $(VENV)/.ready
	@$(MAKE) --no-print-directory caffe || { \
	  echo "Caffe cannot be built here; installing PyTorch for the engine caffe-torch"; \
	  $(INSTALL) '.[torch]'; }
	$(BIN)/caffe-transfer run fashion-mnist --out $(DEMO) --jobs 2

test: $(VENV)/.ready-test caffe browser lint
	$(BIN)/python -m pytest

FUZZ_SECONDS ?= 1200
FUZZ_SEED ?= 0

fuzz: $(VENV)/.ready-test
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED)
	for each in wire prototxt log; do \
	  $(BIN)/python -m tests.fuzz.coverage $$each --where-possible \
	    --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED) || exit 1; \
	done

cluster-test: $(VENV)/.ready-test slurm
	$(INSTALL) '.[test,ray]'
	CLUSTER_TEST=1 $(BIN)/python -m pytest tests/cluster

# Kills and signals at random points of small studies, all of which must end as if nothing had been;
# KILL="--count 300 --seed 7", or --engine caffe for real Caffe.
kill: $(VENV)/.ready-test
	$(BIN)/python -m tests.kill $(KILL)

$(VENV)/.ready: setup.py
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) .
	touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	$(INSTALL) '.[test]'
	touch $@

caffe: $(VENV)/.ready
	@if program=$${CAFFE_BIN:-$$(command -v caffe)}; [ -n "$$program" ]; then \
	  echo "using Caffe at $$program"; \
	else \
	  docker/install-caffe.sh $(PREFIX); \
	fi

# Caffe with CUDA, for all cards that the toolkit knows; CUDA is fetched where there is none.
caffe-gpu: $(VENV)/.ready
	docker/install-caffe.sh $(PREFIX) --cuda

# For the tests of the report's page; without it they skip.
browser:
	@if command -v chromium > /dev/null && command -v chromedriver > /dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  { apt-get update && apt-get install -y --no-install-recommends chromium chromium-driver; } \
	    > /dev/null || echo "chromium cannot be installed here; tests of the page are skipped"; \
	else \
	  echo "tests of the page are skipped: install chromium and chromium-driver, as root: make browser"; \
	fi

# For the tests with a real Slurm; without it they skip.
slurm:
	@if command -v sbatch > /dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  { apt-get update && apt-get install -y --no-install-recommends slurm-wlm munge; } \
	    > /dev/null || echo "Slurm cannot be installed here; tests with Slurm are skipped"; \
	else \
	  echo "tests with Slurm are skipped: install slurm-wlm and munge, as root: make slurm"; \
	fi

lint: $(VENV)/.ready-test
	PATH="$(abspath $(BIN)):$$PATH" pre-commit run --all-files

# As root on Debian 12: an image built without a registry, and its test; or IMAGE=caffe-transfer:gpu.
image-test: $(VENV)/.ready
	docker/build-here.sh $(IMAGE)
	CAFFE_TRANSFER=$(abspath $(BIN))/caffe-transfer docker/test-image.sh $(IMAGE)

docs: $(VENV)/.ready
	$(BIN)/python docs/write_cli.py
	$(BIN)/python docs/write_studies.py

bench: $(VENV)/.ready-test
	for each in logs models training; do $(BIN)/python -m benchmarks.$$each || exit 1; done

clean:
	rm -rf $(VENV) build *.egg-info
