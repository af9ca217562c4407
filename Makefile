# `make help` lists the targets. Needed: Python 3.11 or newer, make, git.

PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet
INDEX ?= .image2poem/index
IMAGE ?= docs/pictures/pavilion.jpg
FORM ?=
POET ?=
LISTEN ?= 127.0.0.1:50051
PORT ?= 8080
MINUTES ?= 90
RUNS ?= runs
NAME ?=

PINS := constraints.txt pyproject.toml clients/pyproject.toml
SERVE := $(VENV)/.serve
DEV := $(VENV)/.dev
PAGE := $(VENV)/.web
KEYWORDS := index_builder/data/keywords.tsv
ENCODER := models/bundles/lite

# The generator's version is the floor for every caller's grpcio, and it needs an older protobuf than the
# server runs on: it has an environment of its own.
GENERATOR := $(VENV)-proto
define generate
$(GENERATOR)/bin/python -m grpc_tools.protoc --proto_path=proto --python_out=$(1) --pyi_out=$(1) \
	--grpc_python_out=$(1) proto/image2poem/v1/*.proto
@find $(1)/image2poem/v1 -name '*_pb2_grpc.py' ! -exec grep -q Stub {} \; -delete
endef

.DEFAULT_GOAL := help
.PHONY: help install run serve web index train test stubs lint type format proto docs node bench clean

help:  ## List the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

install: $(SERVE)  ## Make the environment in .venv, with what serving needs

run: $(SERVE) $(INDEX)/CURRENT  ## A picture in, a streamed poem out [IMAGE=… FORM=qijue POET=t5 MORE="--acrostic 春夏秋冬"]
	@$(PY) deploy/demo.py --index $(INDEX) "$(IMAGE)" $(if $(FORM),--form $(FORM)) $(if $(POET),--poet $(POET)) $(MORE)

serve: $(SERVE) $(INDEX)/CURRENT  ## Serve until Ctrl-C [LISTEN=127.0.0.1:50051]
	$(PY) -m server --listen $(LISTEN) --index $(INDEX)

web: $(PAGE) $(INDEX)/CURRENT  ## The page, with a server behind it, until Ctrl-C [PORT=8080 HOST=127.0.0.1]
	PYTHONPATH=clients $(PY) -m web.house --index $(INDEX) --listen $(or $(HOST),127.0.0.1):$(PORT) $(MORE)

index: $(SERVE)  ## Build the keyword index anew and publish it
	$(PY) -m index_builder build --keywords $(KEYWORDS) --encoder $(ENCODER) --out $(INDEX) --publish

train: $(DEV)  ## Corpus, keywords, sources, encoder and both poets anew, into runs/ [MINUTES=90 a poet]
	PYTHON=$(abspath $(PY)) RUNS=$(RUNS) MINUTES=$(MINUTES) models/training/train_all.sh

test: lint type stubs  ## All that CI runs: style, types, stubs, tests
	$(PY) -m pytest -q

stubs: $(GENERATOR)
	@rm -rf $(GENERATOR)/out && mkdir -p $(GENERATOR)/out
	$(call generate,$(GENERATOR)/out)
	@for stub in $(GENERATOR)/out/image2poem/v1/*; do cmp "$$stub" "clients/image2poem/v1/$$(basename "$$stub")" \
		|| { echo "run make proto"; exit 1; }; done

lint: $(DEV)  ## Check style
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

type: $(DEV)  ## Check types
	$(PY) -m mypy

format: $(DEV)  ## Format the code
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

proto: $(GENERATOR)  ## Generate the stubs from proto/
	$(call generate,clients)

docs: $(DEV)  ## The client's API reference, from its docstrings, into build/docs
	PYTHONPATH=clients $(PY) -m pdoc --docformat google --output-directory build/docs image2poem image2poem.card
	@echo build/docs/index.html

node: clients/node/node_modules  ## Install what the Node.js client and its tests need
clients/node/node_modules: clients/node/package.json
	npm --prefix clients/node install --no-package-lock --ignore-scripts --silent
	@touch $@

bench: $(DEV) $(INDEX)/CURRENT  ## Run the benchmarks [NAME=…]
	$(PY) -m benchmarks $(NAME)

clean:  ## Remove the environment, the index and caches
	rm -rf $(VENV) $(GENERATOR) .image2poem .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INDEX)/CURRENT: $(KEYWORDS) $(ENCODER)/manifest.json | $(SERVE)
	@$(PY) -m index_builder build --keywords $(KEYWORDS) --encoder $(ENCODER) --out $(INDEX) --publish

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "image2poem needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(GENERATOR): | $(VENV)/bin/python
	$(PYTHON) -m venv $@
	$@/bin/python -m pip --disable-pip-version-check --quiet install grpcio-tools==1.74.0

$(SERVE): $(VENV)/bin/python $(PINS)
	$(PIP) install --constraint constraints.txt ".[serve]" --editable clients
	@touch $@

$(PAGE): $(SERVE)
	$(PIP) install --constraint constraints.txt ".[serve,web]"
	@touch $@

$(DEV): $(SERVE)
	$(PIP) install --constraint constraints.txt ".[serve,train,dev]"
	$(PIP) install --no-deps --constraint constraints.txt cn-clip==1.6.0 six  # for tests; the others of its wants are for training
	@touch $@
