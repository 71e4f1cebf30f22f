# Everything runs in .venv, made from the pinned versions of constraints.txt. On a system without
# make, the recipes below are the commands to type.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: repro study deck try bench test docs install

repro: install            ## run the whole pipeline, or what changed of it, and show the results
	dvc repro
	@cat metrics/results.md

study: install            ## compare methods over seeds, from the logits of the pipeline
	dvc repro --allow-missing study/dvc.yaml

deck: install             ## an earlier, smaller experiment again: four tasks, from copies in ../datasets
	dvc repro study/deck/dvc.yaml

try: install              ## a page on this machine on which to try the exported student
	python -m pipeline page

bench: export GOMP_SPINCOUNT ?= 2000
bench: $(VENV)/bench      ## speed, side by side with peers: half an hour on two cores
	dvc repro
	python benchmarks/training.py
	python benchmarks/dumping.py
	python benchmarks/distilling.py
	python benchmarks/inference.py
	python benchmarks/serving.py
	python benchmarks/growth.py
	python benchmarks/stages.py

test: $(VENV)/dev         ## lint, types and all tests
	ruff check
	ruff format --check
	mypy
	pytest -n 3 --dist loadfile --no-loadscope-reorder

docs: install             ## generate docs/settings.md and the schemas of the settings files
	python docs/generate.py

install: $(VENV)/run

$(VENV)/run: requirements.txt constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement requirements.txt --constraint constraints.txt
	# What draws the page of `dvc plots show`, which would otherwise be loaded from the network.
	$(BIN)/python -c "import vl_convert; print(vl_convert.javascript_bundle())" > $(VENV)/vega.js
	# So that `python -m pipeline` finds its code.
	$(BIN)/python -c "import pathlib, sysconfig; pathlib.Path(sysconfig.get_path('purelib'), 'pipeline.pth').write_text('$(CURDIR)/src\n')"
	touch $@

$(VENV)/bench: $(VENV)/run requirements-bench.txt
	$(BIN)/pip install --quiet --requirement requirements-bench.txt --constraint constraints.txt
	touch $@

$(VENV)/dev: $(VENV)/run requirements-dev.txt
	$(BIN)/pip install --quiet --requirement requirements-dev.txt --constraint constraints.txt
	touch $@
