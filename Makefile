# Two commands: `make lab` opens JupyterLab on the quickstart, `make test` runs every test.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup lab test lint clean

setup:            ## everything a checkout needs; does nothing the second time
	@$(PYTHON) scripts/setup.py

lab: setup        ## JupyterLab on notebooks/01-quickstart.ipynb
	@$(BIN)/python scripts/lab.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: setup       ## all tests: Python, TypeScript, browser; PYTEST_ARGS selects
	@$(PYTHON) scripts/setup.py --chromium
	@$(MAKE) --no-print-directory lint
	cd js && npm run --silent check
	$(BIN)/python -m pytest $(PYTEST_ARGS)

clean:            ## remove what setup built; caches of the user stay
	rm -rf .venv js/node_modules specviz/static/widgets.js specviz/static/widgets.css dist test-results
