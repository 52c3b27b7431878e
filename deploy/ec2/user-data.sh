#!/bin/bash
# User data of a machine on EC2 that has its cache on a volume of its own: docs/kubernetes.md. The
# machine image has /usr/local/bin/archway, /etc/archway/config.toml (cache.path =
# "/var/lib/archway"), both units' files from deploy/systemd, and the AWS command line.
set -euo pipefail

VOLUME=vol-0123456789abcdef0
# Where systemd keeps the folder of a service with a user of its own.
FOLDER=/var/lib/private/archway

metadata() { curl -sf -H "X-aws-ec2-metadata-token: $TOKEN" "http://169.254.169.254/latest/meta-data/$1"; }
TOKEN=$(curl -sf -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 300" http://169.254.169.254/latest/api/token)
INSTANCE=$(metadata instance-id)
REGION=$(metadata placement/region)

# The machine that died may have it for a while.
aws ec2 wait volume-available --region "$REGION" --volume-ids "$VOLUME"
aws ec2 attach-volume --region "$REGION" --volume-id "$VOLUME" --instance-id "$INSTANCE" --device /dev/sdf

# On a Nitro machine the name above means nothing; the disk's serial number is the volume's id.
DISK=/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${VOLUME/-/}
until [ -e "$DISK" ]; do sleep 1; done

# Only a disk without anything on it.
if ! blkid "$DISK" >/dev/null; then mkfs.xfs "$DISK"; fi
install -d -m 0700 /var/lib/private "$FOLDER"
# User data runs at the first boot alone: later ones have the disk from here, before the service starts.
OPTIONS=noatime,nofail,x-systemd.before=archway.service,x-systemd.required-by=archway.service
echo "$DISK $FOLDER xfs $OPTIONS 0 0" >> /etc/fstab
systemctl daemon-reload
mount "$FOLDER"
systemctl enable --now archway
