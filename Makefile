# Every target makes .venv by itself: from PYTHON (3.11, 3.12 or 3.13), with the versions of constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Emulated machines and toolchains outlive the clone: the next one finds them there.
ARM64 ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/edgecls/arm64
SWIFT ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/edgecls/swift

.DEFAULT_GOAL := help
.PHONY: help demo test test-ssh test-arm64 test-android test-ios test-web test-all fuzz layers coreml bench docs lint format schema clean

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
	  echo "edgecls needs Python 3.11, 3.12 or 3.13; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo not there)." >&2; \
	  echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[convert,cluster,dev,docs]'
	@touch $@

demo: $(STAMP) ## Train a small model on real digits, convert it to everything, measure it
	$(BIN)/edgecls demo

test: $(STAMP) ## The fast tests
	$(BIN)/python -m pytest -m "not slow and not android and not arm64 and not ios and not ssh and not web" -n 2 --dist loadfile

test-ssh: $(STAMP) ## Measuring on another machine, over a real ssh server on the loopback interface
	@tests/need_sshd
	$(BIN)/python -m pytest -m ssh

test-arm64: $(STAMP) ## x86 beside emulated ARM processors, which are made first where they are not there
	$(BIN)/python tools/arm64 "$(ARM64)" $(if $(CI),--install)
	ARM64="$(ARM64)" $(BIN)/python -m pytest -rs -m arm64

test-android: $(STAMP) ## The Android sample: Kotlin's tests, screens, a signed APK; Debian or Ubuntu
	$(BIN)/python tools/android --only-install $(if $(CI),--install)
	$(BIN)/python -m pytest -rs -m android tests/android
	@echo "Not run here: Gradle's build, a device or emulator, the camera, and LiteRT itself, whose library is Android's."

test-ios: $(STAMP) ## The iOS sample, as far as no Mac is needed, with a Swift toolchain that is made first where there is none
	$(BIN)/python tools/swift "$(SWIFT)" $(if $(CI),--install)
	SWIFT="$(SWIFT)/run" $(BIN)/python -m pytest -m ios tests/ios
	@echo "Not run here, for want of a Mac: Core ML, Vision, the camera and the screens; Xcode has not built the project."

test-web: $(STAMP) ## The web sample: the image contract's golden vectors, and the page in headless Chromium
	cd web_sample && npm ci --no-progress && npm run check && npm test
	chromium=$(or $(CHROMIUM),$$(tests/need_chromium)) && CHROMIUM="$$chromium" $(BIN)/python -m pytest -rs -m web

test-all: $(STAMP) ## Every test of this machine, also those that take minutes
	$(BIN)/python -m pytest -n 2 --dist loadfile

fuzz: $(STAMP) ## A thousand damaged copies of every file that is read: the table of docs/robustness.md
	$(BIN)/python tests/fuzz.py

layers: $(STAMP) ## What compression makes of every layer: docs/layers.md, written anew
	$(BIN)/python tests/layer_table.py

coreml: $(STAMP) ## coremltools' own tests by the Core ML reference: docs/coreml-reference.md, written anew; hours
	$(BIN)/python tests/coreml_suites.py

bench: $(STAMP) ## The benchmarks of benchmarks/README.md
	@for script in $(sort $(wildcard benchmarks/*.py)); do \
	  case $$script in */_*) continue;; esac; \
	  echo "== $$script"; $(BIN)/python $$script || exit 1; done
	@echo "The tables above explained, and the figures of record: benchmarks/README.md"

docs: $(STAMP) ## The documentation as a site, in site/; every link is checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "site/index.html; to read while you write: $(BIN)/mkdocs serve"

lint: $(STAMP) ## ruff, pyright and the import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(STAMP) ## Let ruff format and sort imports
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

schema: $(STAMP) ## Write the schemas in docs/ anew from the models
	$(BIN)/python -c 'from edgecls.records.report import results_schema; print(results_schema(), end="")' > docs/results.schema.json
	$(BIN)/python -c 'from edgecls.gate.baseline import baseline_schema; print(baseline_schema(), end="")' > docs/baseline.schema.json

clean: ## Remove .venv and what tools cached
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache
