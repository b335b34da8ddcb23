#!/bin/bash
# Boots a real systemd as PID 1 of its own PID, mount, UTS, IPC, network and cgroup namespaces, in half a second.
#
#   lab.sh start [--bind SRC:DST]...    the guest's root is this machine's, with all writes going to memory
#   lab.sh exec CMD...                  run something inside
#   lab.sh stop                         kill it and clean up
#   lab.sh probe                        can this machine do it? says why not
#
# LAB names one of several, LAB_DIR is where their state lies. Needs root, util-linux, iproute2 and systemd's binary;
# no systemd, D-Bus or container engine on the host. The network is the guest's own: loopback, nothing else.
# A directory given by --bind is writable from inside; nothing else of the host is.
set -euo pipefail
: "${LAB:=tickerd}" "${LAB_DIR:=/tmp/tickerd-lab}"
state=$LAB_DIR/$LAB
spaces=(--pid --mount --uts --ipc --net --cgroup)

cgroups=
for found in /sys/fs/cgroup/unified /sys/fs/cgroup "$LAB_DIR/cgroup2"; do
    if [[ -f $found/cgroup.procs ]]; then cgroups=$found && break; fi
done
own_cgroups() {
    [[ -z $cgroups ]] || return 0
    cgroups=$LAB_DIR/cgroup2
    mkdir -p "$cgroups"
    mount -t cgroup2 cgroup2 "$cgroups"
}

make_devices() { # make_devices ROOT
    local dev=$1/dev one
    mount -t tmpfs -o mode=755,nosuid,size=4M tmpfs "$dev"
    for one in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 "$dev/${one%:*}" c 1 "${one#*:}"; done
    mknod -m 666 "$dev/tty" c 5 0
    ln -s /proc/self/fd "$dev/fd"
    for one in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${one%:*}" "$dev/${one#*:}"; done
    mkdir "$dev/pts" "$dev/shm" "$dev/mqueue"
    mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$dev/pts"
    ln -s pts/ptmx "$dev/ptmx"
    mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$dev/shm"
}

make_root() { # make_root ROOT: what a guest finds, before anything runs in it
    local root=$1
    mount -t proc -o nosuid,noexec,nodev proc "$root/proc"
    mount --bind "$root/proc/sys" "$root/proc/sys"
    mount -o remount,bind,ro "$root/proc/sys"                            # the sysctls are the host's
    mount -t sysfs -o ro,nosuid,noexec,nodev sysfs "$root/sys"           # read-only: udev and others leave it alone
    mount -t cgroup2 -o nosuid,noexec,nodev cgroup2 "$root/sys/fs/cgroup"
    make_devices "$root"
    mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
    mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/tmp"
    mkdir -p "$root/run/host"
    echo lab >"$root/run/host/container-manager"
    rm -f "$root/etc/machine-id"
    tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
    rm -rf "$root/var/log/journal"
    printf '127.0.0.1 localhost lab\n::1 localhost\n' >"$root/etc/hosts"
}

quiet_units() { # quiet_units ROOT: nothing of the host starts, nothing touches its kernel
    local units=$1/etc/systemd/system one
    rm -rf "$units"/{multi-user,timers,sockets,graphical,network-online}.target.wants
    for one in systemd-{modules-load,sysctl,timesyncd,update-utmp,binfmt}.service e2scrub_reap.service \
        sys-kernel-{debug,tracing,config}.mount sys-fs-fuse-connections.mount dev-hugepages.mount; do
        ln -sfn /dev/null "$units/$one"
    done
}

inner() { # PID 1 of the new namespaces
    local root=$state/mnt/root one
    mount --make-rprivate /
    mount -t tmpfs -o mode=755,size=4G tmpfs "$state/mnt"
    mkdir -p "$state"/mnt/{up,work,root}
    mount -t overlay -o "lowerdir=/,upperdir=$state/mnt/up,workdir=$state/mnt/work" overlay "$root"
    make_root "$root"
    quiet_units "$root"
    for one in "$@"; do
        mkdir -p "$root${one#*:}"
        mount --rbind "${one%%:*}" "$root${one#*:}"
    done
    hostname lab
    ip link set lo up
    cd "$root"
    mkdir -p .old
    pivot_root . .old
    cd /
    umount -l /.old
    rmdir /.old
    mount --make-rshared / # whoever makes a container must: without it LoadCredential= gives empty directories
    exec setpriv --bounding-set -sys_module,-sys_time,-sys_rawio,-syslog,-mac_admin,-mac_override,-wake_alarm,-block_suspend \
        env -i container=lab PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin TERM=dumb \
        /lib/systemd/systemd --unit=basic.target --log-target=journal --show-status=0
}

start() {
    local binds=() outer init answer=''
    while (($#)); do
        case $1 in
        --bind) binds+=("$2") && shift 2 ;;
        *) echo "lab: unknown argument $1" >&2 && exit 64 ;;
        esac
    done
    own_cgroups
    mkdir -p "$state/mnt" "$cgroups/lab-$LAB"
    # The child enters its cgroup first, so that the cgroup namespace is rooted there.
    (
        echo "$BASHPID" >"$cgroups/lab-$LAB/cgroup.procs"
        exec setsid unshare --fork "${spaces[@]}" --kill-child=SIGKILL "$0" __inner "${binds[@]}"
    ) </dev/null >"$state/console.log" 2>&1 &
    outer=$!
    echo "$outer" >"$state/outer.pid"
    for _ in $(seq 400); do
        kill -0 "$outer" 2>/dev/null || { cat "$state/console.log" >&2 && exit 1; }
        init=$(cat "/proc/$outer/task/$outer/children" 2>/dev/null || true)
        if [[ -n $init ]]; then
            echo "${init%% *}" >"$state/init.pid"
            answer=$("$0" exec systemctl is-system-running 2>/dev/null || true)
            case $answer in running | degraded) echo "$answer" && return ;; esac
        fi
        sleep .05
    done
    echo "lab: systemd does not come up: $answer" >&2
    cat "$state/console.log" >&2
    exit 1
}

stop() {
    local init
    init=$(cat "$state/init.pid")
    kill -KILL "$init" 2>/dev/null || true
    # Not the processes, which a slow reaper may keep as zombies: the cgroup tells the truth.
    for _ in $(seq 200); do
        if grep -q 'populated 0' "$cgroups/lab-$LAB/cgroup.events"; then break; fi
        sleep .05
    done
    for _ in $(seq 100); do
        find "$cgroups/lab-$LAB" -depth -type d -exec rmdir {} + 2>/dev/null || true
        if [[ ! -d $cgroups/lab-$LAB ]]; then break; fi
        sleep .05
    done
    rm -rf "$state"
}

probe() {
    local at
    at=$(mktemp -d)
    # shellcheck disable=SC2064
    trap "rmdir $at" EXIT
    unshare --fork "${spaces[@]}" sh -euc "
        mount --make-rprivate /
        mount -t tmpfs tmpfs $at
        mkdir $at/up $at/work $at/root $at/cgroup
        mount -t overlay -o lowerdir=/,upperdir=$at/up,workdir=$at/work overlay $at/root
        mount -t proc proc $at/root/proc
        mount -t cgroup2 cgroup2 $at/cgroup
        mknod $at/root/dev/probe c 1 3
        ip link set lo up"
}

case ${1:-} in
__inner) shift && inner "$@" ;;
start) shift && start "$@" ;;
exec)
    shift
    echo $$ >"$cgroups/lab-$LAB/init.scope/cgroup.procs" 2>/dev/null || true
    exec nsenter -t "$(cat "$state/init.pid")" --mount --uts --ipc --net --pid --cgroup --root --wdns=/ -- \
        env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin HOME=/root LANG=C.UTF-8 SYSTEMD_PAGER= SYSTEMD_COLORS=0 "$@"
    ;;
stop) stop ;;
probe) probe ;;
*)
    sed -n '2,9s/^# \{0,1\}//p' "$0"
    exit 64
    ;;
esac
