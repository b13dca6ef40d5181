# Everything happens in .venv, which `make venv` builds from requirements.lock; nothing else is needed than make and Python 3.11 or later.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
RUNS ?= demo/runs
PINNED := --set run.threads=1  # another number of threads sums in another order, and a small network trained for a minute is chaotic

STUDIED := supervised fixmatch unimatch maskmatch cwbass mean_teacher guidedmix cps
STUDIES := $(STUDIED:%=study/%)

LEADERBOARD := compare results --baseline supervised

.PHONY: demo study leaderboard resume-matrix test lint bench docs venv lock clean $(STUDIES)

demo: venv
	$(BIN)/semibench run --method supervised --protocol shapes-48 --output $(RUNS) $(PINNED)
	$(BIN)/semibench run --method fixmatch --protocol shapes-48 --output $(RUNS) $(PINNED)
	$(BIN)/semibench compare $(RUNS)
	$(BIN)/semibench picture $(RUNS)/shapes-48/supervised/* $(RUNS)/shapes-48/fixmatch/* --output demo/picture.png
	@echo "Runs are in $(RUNS), the picture is demo/picture.png: image, truth, and a column for each run."

# Every method on the drawn pictures, five seeds; a repeated call goes on where it was stopped, `make -j2 study` trains two at a time.
study: $(STUDIES)
	$(BIN)/semibench compare study/runs --baseline supervised

$(STUDIES): study/%: venv
	$(BIN)/semibench run --method $* --protocol shapes-48 --seed 0-4 --output study/runs $(PINNED) --workers 0

# Breaks trainings in every way at random moments and resumes them; a repeated call goes on where it was stopped.
resume-matrix: venv
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.resume_matrix $(MATRIX)

# The example leaderboard, from the results under results/; the suite holds that it is theirs.
leaderboard: venv
	$(BIN)/semibench check-results results
	$(BIN)/semibench $(LEADERBOARD) --output docs/leaderboard.md
	$(BIN)/semibench $(LEADERBOARD) --format html --gallery results/gallery --output docs/leaderboard.html

test: lint
	$(BIN)/python -m pytest --numprocesses=logical --dist=loadfile

lint: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: venv
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only --benchmark-disable-gc -s

# The reference pages, from the catalogue and the data sets.
docs: venv
	$(BIN)/python -m docs.generate

venv: .venv/.made

.venv/.made: requirements.lock pyproject.toml
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv || \
		{ echo "Python's venv module is incomplete here; on Debian: apt-get install python3-venv"; rm -rf .venv; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.5,<1"
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

# Resolve the newest versions within the ranges of pyproject.toml.
lock:
	$(BIN)/uv pip compile --quiet --python-version 3.11 --universal --generate-hashes --no-annotate --no-header \
		--extra dev --extra slurm --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv demo .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
