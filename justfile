# What developers run. `just` alone lists it. The tools come from `.venv` where there is one, else from the PATH.

set positional-arguments

export PATH := justfile_directory() / ".venv/bin:" + env("PATH")

# List the recipes.
_default:
    @just --list --unsorted

# Start the compose stack where a container engine answers, otherwise `aicq serve` on embedded Postgres.
up *arguments:
    #!/usr/bin/env bash
    set -euo pipefail
    for engine in docker podman; do
        if "$engine" info >/dev/null 2>&1 && "$engine" compose version >/dev/null 2>&1; then
            echo "just up: $engine answers, starting the compose stack (Postgres, Redis, AICQ)"
            exec "$engine" compose up --build "$@"
        fi
    done
    echo "just up: no container engine answers, starting aicq serve on embedded Postgres"
    exec aicq serve "$@"

# Run the tests; arguments go to pytest.
test *arguments:
    pytest "$@"

# Look at the pages in Chromium, which has to be installed; arguments go to pytest.
browser *arguments:
    pytest --numprocesses=0 tests/browser "$@"

# Run the Containerfile's commands in a clean folder, which fetches all requirements anew.
container *arguments:
    pytest --numprocesses=0 tests/container "$@"

# Run all that CI runs besides the tests.
check:
    ruff format --check
    ruff check
    mypy
    lint-imports
    pytest --quiet tests/project/test_documents.py tests/project/test_migrations.py::test_models_and_migrations_agree

# Format the code and mend what can be mended.
fmt:
    ruff format
    ruff check --fix

# Move the schema of the configured or embedded database up.
migrate *arguments:
    aicq migrate up "$@"

# Begin a migration with the next number: just revision "Guilds and their roles".
revision message:
    #!/usr/bin/env bash
    set -euo pipefail
    steps=(migrations/versions/[0-9]*.py)
    alembic revision --rev-id "$(printf '%04d' $((${#steps[@]} + 1)))" --message "$1"
    ruff format --quiet migrations

# Measure against the floors, on both hot stores.
bench *arguments:
    aicq bench "$@"

# Measure how many of the nearest memories recall finds, and how fast: just recall --sizes 10,1000.
recall *arguments:
    python -m tests.memory.measure "$@"

# Write docs/openapi.yaml anew from the code.
openapi:
    python tests/project/openapi.py

# Resolve requirements/ anew; with --upgrade to the newest of everything that pyproject.toml admits. Needs uv.
lock *arguments:
    #!/usr/bin/env bash
    set -euo pipefail
    compile() {
        uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
            --no-emit-index-url --no-emit-find-links --custom-compile-command "just lock" "$@"
    }
    compile pyproject.toml --group dev --output-file requirements/dev.txt "$@"
    # The other two are parts of it, so they can be installed together.
    compile pyproject.toml --constraints requirements/dev.txt --output-file requirements/runtime.txt "$@"
    compile --group build --constraints requirements/dev.txt --output-file requirements/build.txt "$@"
