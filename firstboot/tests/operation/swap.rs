//! The file that first boot makes is one that the kernel swaps to, on each kind of file system.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::size::small;
use crate::support::machine::Machine;

/// Enough for swap, and a hole until it is written to.
const DISK: u64 = 6 << 30;

/// In a mount namespace of its own: a disk of the kind, the machine's files on it, the boot. Whatever happens, the swap is
/// switched off; the mounts go with the namespace.
const ON_A_DISK: &str = r#"set -eu
image=$1 machine=$2 disk=$3
shift 3
mount --make-rprivate /
mount -o loop "$image" "$disk"
off() { swapoff "$disk/swapfile" 2>/dev/null || :; umount --recursive "$disk"; }
trap off EXIT
cp -a "$machine/." "$disk/"
for sockets in var/run var/lib/docker; do mount --bind "$machine/$sockets" "$disk/$sockets"; done
"$@" --root "$disk"
echo "SWAPS: $(grep -c "$disk/swapfile" /proc/swaps)"
echo "MODE: $(stat -c '%a %s' "$disk/swapfile")"
echo "FSTAB: $(grep -c '^/swapfile none swap ' "$disk/etc/fstab")"
"#;

fn boot_on(kind: &str) -> String {
    let machine = small();
    // The real ones.
    for program in ["df", "fallocate", "mkswap", "swapon"] {
        fs::remove_file(machine.path("/journal/bin").join(program)).unwrap();
    }
    let around = tempfile::tempdir().unwrap();
    let (image, disk) = (around.path().join("image"), around.path().join("disk"));
    fs::File::create(&image).unwrap().set_len(DISK).unwrap();
    fs::create_dir(&disk).unwrap();
    let made = Command::new(format!("/usr/sbin/mkfs.{kind}")).arg("-q").arg(&image).output();
    let made =
        made.unwrap_or_else(|error| panic!("mkfs.{kind} cannot be run ({error}): make setup installs it"));
    assert!(made.status.success(), "{made:?}");

    let script = around.path().join("script");
    fs::write(&script, ON_A_DISK).unwrap();
    let run = machine.run(in_namespace(&machine, &script, &image, &disk));
    assert_eq!(run.status.code(), Some(0), "{kind}: {}{}", run.stdout, run.stderr);
    run.stdout
}

/// The boot as a command of the script's, which adds where its root is.
fn in_namespace(machine: &Machine, script: &Path, image: &Path, disk: &Path) -> Command {
    let boot = machine.command(&["boot"]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh"]).arg(script).arg(image).arg(machine.path("/")).arg(disk);
    command.arg(boot.get_program()).args(boot.get_args());
    command.env_clear().env("PATH", format!("{}:/usr/sbin:/sbin", machine.journal.programs()));
    command
}

#[test]
fn the_kernel_takes_the_file_on_each_kind_of_disk() {
    for kind in ["ext4", "btrfs"] {
        let told = boot_on(kind);
        for line in ["made swap", "SWAPS: 1", "MODE: 600 805306368", "FSTAB: 1"] {
            assert!(told.contains(line), "{kind}: {line}: {told}");
        }
    }
}
