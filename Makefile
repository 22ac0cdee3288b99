# Two commands: `make lab` opens JupyterLab on the tutorials, `make test` runs every test.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup lab test lint wheelhouse docs clean

setup:            ## everything a checkout needs; does nothing the second time
	@$(PYTHON) scripts/setup.py

lab: setup        ## JupyterLab on a copy of the tutorials, in specviz-notebooks/
	@$(BIN)/specviz lab

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: setup       ## all tests: Python, TypeScript, browser; PYTEST_ARGS selects
	@$(PYTHON) scripts/setup.py --chromium
	@$(MAKE) --no-print-directory lint
	cd js && npm run --silent check
	$(BIN)/python -m pytest $(PYTEST_ARGS)

wheelhouse: setup ## a folder of wheels, from which specviz is installed without a network
	@$(BIN)/python scripts/wheelhouse.py

docs: setup       ## the documentation site, in docs/_build/html
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build/html

clean:            ## remove what setup built; caches of the user stay
	rm -rf .venv js/node_modules specviz/static/widgets.js specviz/static/widgets.css js/launcher/static dist docs/_build test-results wheelhouse
