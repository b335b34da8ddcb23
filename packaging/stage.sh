#!/usr/bin/env bash
# Makes a virtual environment with tickerd in it that will live at PREFIX, without writing there: the paths in its
# scripts and byte code are PREFIX's. Both `make install` and `make deb` begin with it.
#
#   stage.sh ROOT PREFIX PYTHON PIP_PYTHON
#
# ROOT        a directory that stands for / (empty: the real one)
# PREFIX      where the environment will be, such as /opt/tickerd
# PYTHON      the interpreter that it will use, by the path that it has there
# PIP_PYTHON  an interpreter with pip >= 23 that does the installing
set -euo pipefail

root=$1 prefix=$2 python=$3 pip_python=$4
source_tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root$prefix
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT

pip() { "$pip_python" -m pip --disable-pip-version-check "$@"; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tickerd needs Python 3.11 or newer")'
if ! "$pip_python" -m pip --version >/dev/null 2>&1; then
    echo "$pip_python has no pip: apt-get install python3-pip, or name another with PIP_PYTHON=" >&2
    exit 1
fi
pip wheel --quiet --no-deps --wheel-dir "$wheels" "$source_tree"
rm -rf "$venv.new"
"$python" -m venv --without-pip "$venv.new"
pip --python "$venv.new/bin/python" install --quiet --no-compile --no-warn-script-location "$wheels"/*.whl

# What pip and venv wrote about where they were.
grep -rlIF "$venv.new" "$venv.new/bin" "$venv.new/pyvenv.cfg" | xargs --no-run-if-empty sed -i "s|$venv.new|$prefix|g"
find "$venv.new" -name direct_url.json -delete
find "$venv.new" -name '*.dist-info' -exec sed -i '/direct_url.json/d' {}/RECORD \;
site=$(echo "$venv.new"/lib/python3.*/site-packages)
# Byte code is made now, since the service may not write it; checked by content, since packaging changes times.
"$python" -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$venv.new" -p "$prefix" "$site"
chmod -R go=u-w "$venv.new"

# The old one is whole until the new one is.
rm -rf "$venv.old"
if [[ -d $venv ]]; then mv "$venv" "$venv.old"; fi
mv "$venv.new" "$venv"
rm -rf "$venv.old"
