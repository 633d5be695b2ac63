# make demo   turn the sample videos into a data set and show it
# make test   install, check and run every test
# Everything happens in .venv; nothing else is installed.

PYTHON ?= python3
BIN := .venv/bin
DEMO := out/demo

.PHONY: install demo test check clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and "Rushes needs Python 3.11 to 3.13: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	# OpenCV without windows: the other builds own the same files and want X11 and OpenGL libraries.
	$(BIN)/python -m pip uninstall --quiet --yes opencv-python opencv-contrib-python opencv-contrib-python-headless
	$(BIN)/python -m pip install --quiet --no-deps --constraint constraints.txt opencv-contrib-python-headless
	$(BIN)/python -m operators.networks
	touch $@

demo: install
	$(BIN)/python -m jobs.mmtrail --input samples/videos --output $(DEMO)
	$(BIN)/python -m samples.show $(DEMO)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

test: check
	$(BIN)/python -m pytest

clean:
	rm -rf .venv out build *.egg-info
