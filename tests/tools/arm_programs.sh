# shellcheck shell=bash
# Makes the kernel run Arm programs by qemu, in containers too. Its table of foreign programs belongs
# to no namespace, so an entry of its own precedes all others. Source this file beside isolated.sh.
#
#   run_arm_programs NAME    from set_up; fails with a hint where the kernel cannot
#   forget_arm_programs      from tear_down, whatever became of the first

ARM_ENTRY=

arm_programs_fail() {
  printf 'The kernel cannot be made to run Arm programs: %s\n' "$*" >&2
  exit 1
}

run_arm_programs() {
  local table=$WORK/binfmt described=/usr/lib/binfmt.d/qemu-aarch64.conf
  [ -r "$described" ] || arm_programs_fail "$described is missing; run tests/tools/install.sh demo"
  mkdir "$table"
  # A second mount of a table that is mounted elsewhere shows the same one.
  mount -t binfmt_misc none "$table" ||
    arm_programs_fail "binfmt_misc cannot be mounted; load it (modprobe binfmt_misc), or use a kernel with CONFIG_BINFMT_MISC; a container needs --privileged"
  [ "$(cat "$table/status")" = enabled ] ||
    arm_programs_fail "binfmt_misc is switched off; run echo 1 > /proc/sys/fs/binfmt_misc/status"
  ARM_ENTRY=$1
  sed "s/^:qemu-aarch64:/:$ARM_ENTRY:/" "$described" >"$table/register" ||
    arm_programs_fail "it refuses the entry of $described"
}

forget_arm_programs() {
  local table=$WORK/binfmt
  if [ -n "$ARM_ENTRY" ] && [ -e "$table/$ARM_ENTRY" ]; then printf '%s' -1 >"$table/$ARM_ENTRY"; fi
  if mountpoint -q "$table"; then umount "$table"; fi
}
