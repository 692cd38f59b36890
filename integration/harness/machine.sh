# Boots a machine of its own over the files of this one: the same programs, and a real systemd as its first process. What it
# writes is in memory and goes with it; it sees this machine's network and nothing else of it can be changed from there. It has
# none of the units of this machine, which mount, clean and configure what is not theirs, and no state or settings of logcatch.
# $1 a directory for it, $2 its cgroup, $3 its console; then pairs: a file of this machine, and where it is seen there.
set -e
base=$1 cgroup=$2 console=$3
shift 3
mkdir "$cgroup"
echo $$ > "$cgroup/cgroup.procs"
exec unshare --mount --pid --fork --cgroup --uts --ipc --kill-child sh -c '
set -e
mount --make-rprivate /
base=$1 console=$2
shift 2
mount -t tmpfs -o size=256m tmpfs "$base"
mkdir "$base/up" "$base/work" "$base/root"
mount -t overlay -o "lowerdir=/,upperdir=$base/up,workdir=$base/work" overlay "$base/root"
cd "$base/root"
rm -rf var/lib/logcatch etc/logcatch
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs dev
for node in null zero full random urandom tty; do touch dev/$node; mount --bind /dev/$node dev/$node; done
mkdir dev/shm dev/pts dev/mqueue
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
touch dev/console
mount --bind "$console" dev/console
while [ $# -gt 0 ]; do
    mkdir -p ".$(dirname "$2")"
    touch ".$2"
    mount --bind "$1" ".$2"
    shift 2
done
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mkdir -p run/lock run/units
for target in sysinit basic multi-user shutdown local-fs remote-fs; do
    printf "[Unit]\nDefaultDependencies=no\n" > run/units/$target.target
done
mkdir old
pivot_root . old
umount -l /old
export container=other SYSTEMD_UNIT_PATH=/run/units
exec /lib/systemd/systemd --system --unit=multi-user.target --log-target=console --show-status=false
' sh "$base" "$console" "$@"
