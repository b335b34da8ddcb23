#!/usr/bin/env bash
# What `make install` and `make uninstall` do, as root.
#
#   install.sh install|uninstall       settings come by the environment, see below
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

prefix=${PREFIX:-/opt/tickerd}
destdir=${DESTDIR:-}
etc=${SYSCONFDIR:-/etc}
# Where a local administrator's units and the like belong; packages use /usr/lib.
lib=${LIBDIR:-/usr/local/lib}
bin=${BINDIR:-/usr/local/bin}
python=${PYTHON:-python3}
pip_python=${PIP_PYTHON:-$python}
units=$lib/systemd/system

say() { printf 'tickerd: %s\n' "$*"; }
die() { say "$*" >&2; exit 1; }

[[ $prefix == /?* && $prefix != *[[:space:]]* ]] || die "PREFIX must be an absolute path without blanks, not '$prefix'"
[[ -n $destdir || $(id -u) == 0 ]] || die "run this as root, or with DESTDIR=DIRECTORY"
# It is replaced as a whole, and removed as a whole.
if [[ -e $destdir$prefix && ! ( -e $destdir$prefix/pyvenv.cfg && -e $destdir$prefix/bin/tickerd ) ]]; then
    die "$destdir$prefix is there already and not tickerd's; choose another with PREFIX=/opt/tickerd"
fi
live() { [[ -z $destdir ]]; }
has_systemd() { live && [[ -d /run/systemd/system ]]; }

install_files() {
    local unit
    for unit in tickerd.service tickerd.socket tickerd-stream.socket; do
        install -d "$destdir$units"
        sed "s|/opt/tickerd|$prefix|g; s|/etc/tickerd|$etc/tickerd|g" "systemd/$unit" >"$destdir$units/$unit"
        chmod 644 "$destdir$units/$unit"
    done
    install -D -m 644 systemd/sysusers.conf "$destdir$lib/sysusers.d/tickerd.conf"
    install -D -m 644 systemd/tmpfiles.conf "$destdir$lib/tmpfiles.d/tickerd.conf"
    install -d "$destdir$bin"
    ln -sfn "$prefix/bin/tickerd" "$destdir$bin/tickerd"
}

install_config() {
    local file=$destdir$etc/tickerd/tickerd.yaml
    install -D -m 644 tickerd.yaml.example "$destdir$prefix/share/tickerd/tickerd.yaml.example"
    install -D -m 644 systemd/README.md "$destdir$prefix/share/tickerd/README.systemd.md"
    [[ -e $file ]] || install -D -m 640 systemd/tickerd.yaml "$file"
}

if_packaged() {
    live && [[ -e /usr/lib/systemd/system/tickerd.service || -e /lib/systemd/system/tickerd.service ]]
}

do_install() {
    if if_packaged; then die "the package tickerd is installed; remove it first: apt-get remove tickerd"; fi
    python=$(command -v "$python") || die "there is no ${PYTHON:-python3}; say which with PYTHON=/usr/bin/python3"
    python=$(readlink -f "$python")
    case $python in
    /root/* | /home/*) die "the service may not look into ${python%/*}; choose another with PYTHON=/usr/bin/python3" ;;
    esac
    packaging/stage.sh "$destdir" "$prefix" "$python" "$pip_python"
    install_files
    install_config
    if live; then
        systemd-sysusers "$lib/sysusers.d/tickerd.conf"
        systemd-tmpfiles --create "$lib/tmpfiles.d/tickerd.conf"
    fi
    if has_systemd; then systemctl daemon-reload; fi
    say "installed in $prefix, configuration in $etc/tickerd/tickerd.yaml"
    say "start it:      systemctl enable --now tickerd"
    say "after upgrade: systemctl restart tickerd"
    say "first API key: /var/lib/tickerd/bootstrap.key, once it has run"
}

do_uninstall() {
    if if_packaged; then die "this is the package's; remove it with: apt-get remove tickerd"; fi
    if has_systemd; then
        systemctl disable --now tickerd.service tickerd.socket tickerd-stream.socket 2>/dev/null || true
    fi
    rm -f "$destdir$units"/{tickerd.service,tickerd.socket,tickerd-stream.socket}
    rm -f "$destdir$lib"/{sysusers,tmpfiles}.d/tickerd.conf
    [[ $(readlink "$destdir$bin/tickerd") != "$prefix/bin/tickerd" ]] || rm -f "$destdir$bin/tickerd"
    rm -rf "$destdir$prefix"
    if has_systemd; then systemctl daemon-reload; fi
    say "removed; kept: $etc/tickerd, /var/lib/tickerd, /var/log/tickerd, the user tickerd and the group tickerd-api"
}

case ${1:-} in
install) do_install ;;
uninstall) do_uninstall ;;
*) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 64 ;;
esac
