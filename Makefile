# Everything from a fresh machine with Python >= 3.11 and make: `make demo`, `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A wheel cache and the newest pip are not needed; an old pip only resolves more slowly.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test test-engines lint types bench spark flink clean

# Each target installs what it needs and no more: the demo is light (no torch), tests need all.
$(VENV)/.demo: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --editable '.[demo]'
	touch $@

$(VENV)/.dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --editable '.[dev]'
	$(PIP) install --no-deps 'mosaicml-streaming>=0.13,<0.14'
	touch $@ $(VENV)/.demo

# Spark, Flink and Beam's job servers for them, fetched by name: deploy/versions.toml. Without Java
# and Maven the tests that need them say so and are skipped.
CLUSTER := $(BIN)/python -m deploy.local_cluster
build/cluster/%/.fetched: deploy/versions.toml deploy/job-server/pom.xml | $(VENV)/.dev
	if command -v java >/dev/null && command -v mvn >/dev/null; then $(CLUSTER) $* fetch; \
	else echo "no Java or no Maven: tests on $* are skipped"; fi

demo: $(VENV)/.demo
	$(BIN)/tamis demo

test: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

# On a real Spark and a real Flink, which are fetched first: some 0.8 GB, and minutes, so that
# `make test` stays below twenty.
test-engines: $(VENV)/.dev build/cluster/spark/.fetched build/cluster/flink/.fetched
	$(BIN)/python -m pytest -m 'spark or flink'

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.embed
	$(BIN)/python -m benchmarks.chain --rows 20000,100000

# The demo on a real cluster on this machine, its manifests compared with a local run's.
spark flink: %: build/cluster/%/.fetched
	$(CLUSTER) $* demo

# Fashion-MNIST from Debian's package (31 MB), cut into the sources of examples/images.yaml.
data/fashion: $(VENV)/.demo
	$(PIP) install --editable '.[image]'
	mkdir -p data/fashion-package
	cd data/fashion-package && apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist*.deb .
	$(BIN)/python -m examples.fashion_mnist data/fashion-package $@

clean:
	rm -rf $(VENV) build *.egg-info runs data
