#!/usr/bin/env bash
# Runs the quick tests on each of Python 3.11, 3.12 and 3.13 that is installed, each in a venv of its own.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The interpreter of a version: on PATH, or one of pyenv's. Tried, since a shim may stand for one that is not there.
find_python() {
    local candidate
    for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
        "$candidate" -c "import sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null &&
            command -v "$candidate" && return 0
    done
    return 1
}

test_on() { # test_on VERSION PYTHON
    local venv=.venv-$1
    if [[ ! -e $venv/.installed || pyproject.toml -nt $venv/.installed ]]; then
        "$2" -m venv "$venv" &&
            "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1' &&
            "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable . --group dev &&
            touch "$venv/.installed" || return 1
    fi
    "$venv/bin/python" -m pytest -q -n 2 -m "not full and not root"
}

found=0
results=()
status=0
for version in 3.11 3.12 3.13; do
    if ! python=$(find_python "$version"); then
        results+=("$version  not installed")
        continue
    fi
    found=1
    start=$SECONDS
    printf '\n== Python %s: %s\n' "$version" "$python"
    if test_on "$version" "$python"; then
        results+=("$version  ok      $((SECONDS - start)) s")
    else
        results+=("$version  FAILED  $((SECONDS - start)) s")
        status=1
    fi
done

printf '\n'
printf '== %s\n' "${results[@]}"
((found)) || { echo "no Python 3.11, 3.12 or 3.13 found" >&2 && exit 1; }
exit $status
