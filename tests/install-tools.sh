#!/usr/bin/env bash
# Installs what `make test-full` needs beside Python: Debian packages (as root) and the npm packages of tests/node.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# command:package
tools=(node:nodejs npm:npm chromium:chromium unshare:util-linux ps:procps ip:iproute2 systemctl:systemd setpriv:util-linux curl:curl dpkg-deb:dpkg make:make openssl:openssl nats-server:nats-server promtool:prometheus amtool:prometheus-alertmanager)

missing=()
for tool in "${tools[@]}"; do
    command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
done

if ((${#missing[@]})); then
    if [[ $(id -u) != 0 ]]; then
        echo "test-tools: missing Debian packages: ${missing[*]}" >&2
        echo "test-tools: run this as root, or: sudo apt-get install ${missing[*]}" >&2
        exit 1
    fi
    if ! command -v apt-get >/dev/null; then
        echo "test-tools: no apt-get here; install the equivalents of: ${missing[*]}" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update
    apt-get install --yes --no-install-recommends "${missing[@]}"
fi

if [[ -f tests/node/package.json ]]; then
    (cd tests/node && npm ci --no-audit --no-fund)
fi
echo "test-tools: all there"
