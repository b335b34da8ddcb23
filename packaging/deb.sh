#!/usr/bin/env bash
# Builds build/tickerd_VERSION_ARCH.deb: a virtual environment under /opt/tickerd on Debian's own Python, the units,
# sysusers, tmpfiles, and a sample configuration. Needs dpkg-deb, /usr/bin/python3 with venv, and a Python with pip.
#
#   deb.sh [VERSION]        the version of the package; default: pyproject.toml's
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${DEB_PYTHON:-/usr/bin/python3}
pip_python=${PIP_PYTHON:-$python}
version=${1:-$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml | head -1)}
arch=$(dpkg --print-architecture)
out=${OUT:-build}
compress=${DEB_COMPRESS:-xz}
mkdir -p "$out"
out=$(cd "$out" && pwd)
package=$out/tickerd_${version}_$arch.deb
root=$(mktemp -d "$out/deb.XXXXXX")
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"

packaging/stage.sh "$root" /opt/tickerd "$python" "$pip_python"
minor=$("$python" -c 'import sys; print(sys.version_info.minor)')

for unit in tickerd.service tickerd.socket tickerd-stream.socket; do
    install -D -m 644 "systemd/$unit" "$root/usr/lib/systemd/system/$unit"
done
install -D -m 644 systemd/sysusers.conf "$root/usr/lib/sysusers.d/tickerd.conf"
install -D -m 644 systemd/tmpfiles.conf "$root/usr/lib/tmpfiles.d/tickerd.conf"
install -D -m 644 systemd/tickerd.yaml "$root/etc/tickerd/tickerd.yaml"
install -D -m 644 systemd/README.md "$root/opt/tickerd/share/tickerd/README.systemd.md"
install -D -m 644 tickerd.yaml.example "$root/opt/tickerd/share/tickerd/tickerd.yaml.example"
install -D -m 644 LICENSE "$root/usr/share/doc/tickerd/copyright"
install -d "$root/usr/bin"
ln -s /opt/tickerd/bin/tickerd "$root/usr/bin/tickerd"

install -d "$root/DEBIAN"
for script in preinst postinst prerm postrm; do
    install -m 755 "packaging/deb/$script" "$root/DEBIAN/$script"
done
echo /etc/tickerd/tickerd.yaml >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/control" <<CONTROL
Package: tickerd
Version: $version
Architecture: $arch
Maintainer: the tickerd maintainers <tickerd@localhost>
Section: net
Priority: optional
Depends: python3 (>= 3.$minor), python3 (<< 3.$((minor + 1))), systemd (>= 252), ca-certificates
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f1)
Description: dependable tick feed from one Kite Connect login
 A daemon that logs in to a broker once, keeps the feed alive, records it and
 hands it to WebSocket clients, files, webhooks and programs of yours.
CONTROL
(cd "$root" && find . -type f -not -path './DEBIAN/*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
chmod 644 "$root"/DEBIAN/{control,conffiles,md5sums}

# Not zstd, which older dpkg cannot read; level 1, since more costs minutes and saves little.
dpkg-deb --root-owner-group "-Z$compress" -z1 --build "$root" "$package" >/dev/null
echo "$package"
