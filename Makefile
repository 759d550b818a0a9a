PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
INSTALLED := $(VENV)/.installed

DEMO := liu_goh dataset=digits seed=0,1 trainer.max_epochs=3

.PHONY: demo install test test-all test-long soak same-bits lint readme smoke reference bench-gpu \
	screenshots measure-studio

# Liu & Goh's ablation on 1,797 real digits: about three minutes on 2 cores, pictures included.
demo: install
	$(BIN)/reslab reproduce $(DEMO)

# The tables and pictures of the README and of docs, from the records in outputs/reference.
RENDER := --reference --output outputs/reference
readme: install
	$(BIN)/reslab table $(DEMO) $(RENDER) --readme docs/results.md --readme README.md \
		--readme docs/claims.md
	for table in liu_goh system virakden bhise_karale resnet3 he2016; do \
		$(BIN)/reslab table $$table $(RENDER) --readme docs/results.md --readme docs/claims.md || exit 1; \
	done
	$(BIN)/reslab table liu_goh_readings $(RENDER) --readme docs/readings.md --readme docs/claims.md
	$(BIN)/reslab table speed_cpu $(RENDER) --readme docs/speed-recipe.md --readme docs/claims.md

# The demo anew, and its check: how long docs/claims.md says that takes.
SMOKE := outputs/reference/liu_goh/digits/smoke.md
smoke: install
	rm -rf $(RUNS)/smoke
	begun=$$(date +%s); \
		$(BIN)/reslab reproduce $(DEMO) runs_dir=$(RUNS)/smoke --output $(RUNS)/smoke/tables && \
		$(BIN)/reslab verify $(DEMO) runs_dir=$(RUNS)/smoke && \
		echo "How long that takes without the installation: $$(($$(date +%s) - begun)) s on" \
		"$$(sed -n 's/^  "hardware": "\(.*\)",/\1/p' $(RUNS)/smoke/*/metrics.json | sort -u)," \
		"$$(date +%F)." > $(SMOKE)

# Every table in full, what matters most and takes least first: days on a CPU. A record is kept in
# outputs/reference as soon as its run ends, and what is kept is not run again. With a GPU, the three
# seeds of Liu & Goh's table come first.
RUNS ?= $(HOME)/reslab-runs
ORDER ?= $(if $(shell command -v nvidia-smi),liu_goh:0 liu_goh:1 liu_goh:2) \
	liu_goh:0 virakden:0 system:0 liu_goh:1 liu_goh:2 virakden:1 virakden:2 system:1 system:2 \
	$(foreach table,resnet3 bhise_karale he2016,$(foreach seed,0 1 2,$(table):$(seed)))
reference: install
	@for part in $(ORDER); do \
		$(BIN)/reslab reproduce $${part%%:*} seed=$${part##*:} runs_dir=$(RUNS) --keep; code=$$?; \
		[ $$code -le 1 ] || exit $$code; [ $$code = 0 ] || failed=1; \
	done; exit $${failed:-0}

# Every figure of speed that needs a GPU, with the PyTorch (2.11 or newer) that PYTHON has, be it in
# an environment of its own: what it lacks besides goes into another one on top of it. Needs CIFAR-10
# in data. Each line can be run alone.
GPU_VENV ?= .venv-gpu
GPU := dataset=cifar10 model=resnet18 augment=crop_flip optimizer=sgd_cosine trainer=gpu
BENCH := --output outputs/reference/bench --readme docs/speed.md
bench-gpu:
	@$(PYTHON) -c 'import torch' 2>/dev/null || { echo "PYTHON=$(PYTHON) has no PyTorch; name one that has"; exit 1; }
	$(PYTHON) -m venv --system-site-packages $(GPU_VENV)
	$(PYTHON) -c 'import site; print(*site.getsitepackages(), sep="\n")' \
		> $$($(GPU_VENV)/bin/python -c 'import site; print(site.getsitepackages()[0])')/installed.pth
	$(GPU_VENV)/bin/python -c 'from importlib.metadata import version; print("torch==" + version("torch"))' \
		> $(GPU_VENV)/torch.txt
	$(GPU_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint $(GPU_VENV)/torch.txt --editable .
	$(GPU_VENV)/bin/reslab bench train $(GPU) trainer.compile=true bench.batch_size=64,128,512,1024 $(BENCH)
	rm -rf $(RUNS)/bench-gpu outputs/reference/bench/liu_goh.md
	-begun=$$(date +%s); $(GPU_VENV)/bin/reslab reproduce liu_goh seed=0 runs_dir=$(RUNS)/bench-gpu && \
		echo "- All of Liu & Goh's table, one seed: $$(($$(date +%s) - begun)) s on" \
		"$$(nvidia-smi --query-gpu=name --format=csv,noheader | head -1)," \
		"$$(cat $(GPU_VENV)/torch.txt), $$(date +%F)." > outputs/reference/bench/liu_goh.md
	$(GPU_VENV)/bin/reslab bench predict $(GPU) bench.batch_size=64,512,2048 $(BENCH)
	$(GPU_VENV)/bin/reslab bench predict $(GPU) trainer.compile=true bench.batch_size=64,512,2048 $(BENCH)

# The studio's pictures in docs/pictures, with a real browser (chromium), in about three minutes.
screenshots: install
	$(BIN)/python tests/screenshots.py

# How fast the studio's page is, with 300 and 1,000 runs.
measure-studio: install
	$(BIN)/python tests/measure_studio.py 300 1000

install: $(INSTALLED)

# What is done in minutes; at its end it says what it leaves out.
test: install
	$(BIN)/python -m pytest -m 'not slow and not long'

# What is run on every change: a quarter of an hour on 2 cores.
test-all: install
	$(BIN)/python -m pytest -m 'not long'

# Whole journeys, every moment and combination: half an hour on 2 cores, by hand.
test-long: install
	$(BIN)/python -m pytest -m long

# 200 runs side by side, a fifth of them killed: half an hour on 2 cores.
soak: install
	$(BIN)/python tests/soak.py 200

# Whether the code that the kept records are of trains to the same bits as today's, from git: COMMITS
# names it anew. A quarter of an hour on 2 cores.
same-bits: install
	$(BIN)/python tests/same_bits.py $(COMMITS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("reslab needs Python 3.11 or newer; make PYTHON=... names one" if sys.version_info < (3, 11) else 0)'
	@echo "installing into $(VENV): PyTorch is large, this takes a few minutes"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes --requirement constraints.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@
