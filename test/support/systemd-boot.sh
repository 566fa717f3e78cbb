#!/bin/sh
# Becomes systemd, as process 1 of namespaces of its own (`unshare --pid --mount --cgroup --uts --ipc --fork`): what it and its
# services write goes to tmpfs, and of the host's units only those are there that our own rest upon.
#
# usage: systemd-boot.sh REPOSITORY NODE SYSTEMD
set -eu

mount --make-rprivate /
mount -t proc proc /proc
# These belong to the whole machine, and systemd would raise limits there.
for directory in /proc/sys/fs /proc/sys/kernel /proc/sys/vm; do
  mount --bind "$directory" "$directory"
  mount -o remount,bind,ro "$directory"
done
mount -t tmpfs systemd-boot /srv
mkdir /srv/gigatun /srv/etc /srv/work /srv/units /srv/none
: > /srv/node
mount --bind "$1" /srv/gigatun
mount --bind "$2" /srv/node
mount -t overlay -o lowerdir=/etc,upperdir=/srv/etc,workdir=/srv/work systemd-boot /etc
for directory in /run /tmp /var/tmp /usr/local/bin; do mount -t tmpfs systemd-boot "$directory"; done
umount -R -l /sys
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup

printf '#!/bin/sh\nexec /srv/node /srv/gigatun/dist/cli/main.js "$@"\n' > /usr/local/bin/gigatun
chmod 755 /usr/local/bin/gigatun
mkdir -p -m 700 /etc/wireguard

cp -R /srv/gigatun/systemd/. /srv/units/
for target in basic exit multi-user network network-online nss-lookup paths shutdown slices sockets sysinit timers umount; do
  cp "/lib/systemd/system/$target.target" /srv/units/
done
if [ -e /lib/systemd/system/wg-quick@.service ]; then cp /lib/systemd/system/wg-quick* /srv/units/; fi
for unit in gigatun@ wg-quick@; do
  mkdir -p "/srv/units/$unit.service.d"
  printf '[Service]\nStandardOutput=append:/run/log\nStandardError=inherit\n' > "/srv/units/$unit.service.d/log.conf"
done

exec env -i container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  SYSTEMD_UNIT_PATH=/srv/units SYSTEMD_GENERATOR_PATH=/srv/none SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/srv/none \
  "$3" --system --unit=basic.target --log-target=console --show-status=no
