# `make` lists the targets. PYTHON chooses the Python, VENV the environment's folder (default .venv).
VENV ?= .venv
export PYTHON VENV

.DEFAULT_GOAL := help
.PHONY: help setup demo check test prove prove-lr newest lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST)

setup:  ## make the virtual environment with everything pinned (repeatable)
	@.ci/setup

demo: setup  ## from nothing to served recommendations with reasons for and against
	$(VENV)/bin/counterpoint demo

check: setup  ## style, types, layers and the quick tests: under two minutes
	@.ci/check

test: setup  ## every test
	$(VENV)/bin/python -m pytest

prove: setup  ## try hard to break the promises, at full size; figures go to benchmarks/results/proofs
	$(VENV)/bin/python -m benchmarks.prove

prove-lr: setup  ## LR-Recsys on the fixed splits, all variants: hours; goes on where it was stopped
	@for dataset in world ml-100k amazon-musical-instruments ml-latest-small amazon-beauty; do \
		$(VENV)/bin/python -m benchmarks.lr.generate $$dataset || exit 1; \
		$(VENV)/bin/python -m benchmarks.lr_recsys --dataset $$dataset || exit 1; \
	done
	@for dataset in ml-100k amazon-musical-instruments ml-latest-small amazon-beauty; do \
		$(VENV)/bin/python -m benchmarks.ranking --dataset $$dataset || exit 1; \
		$(VENV)/bin/python -m benchmarks.lr_ranking --dataset $$dataset || exit 1; \
	done
	@$(VENV)/bin/python -m benchmarks.lr_ground
	@$(VENV)/bin/python -m benchmarks.lr.generate world/seed-211 --pairs
	@$(VENV)/bin/python -m benchmarks.lr_granularity

newest:  ## try the newest allowed versions in a throw-away environment and report what breaks
	@.ci/newest

lock:  ## write requirements.lock again (needs uv; UPGRADE=name moves one package)
	@.ci/lock

clean:  ## remove the virtual environment and caches; your data in .counterpoint stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
