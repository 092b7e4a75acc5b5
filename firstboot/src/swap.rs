//! Swap for a small machine, made at its first boot: in an image it would be copied into every snapshot.
//!
//! Passwords are hashed and uploads held in memory; where there is little of it, swap is what keeps a busy minute from
//! ending a program.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::IFlags;

use crate::command::run;
use crate::console::Console;
use crate::disk::Disk;
use crate::files;
use crate::memory::Memory;
use crate::system::System;

/// A machine with less memory gets swap.
const SMALL_MB: u64 = 2048;
const MOST_MB: u64 = 2048;
const LEAST_MB: u64 = 512;
/// Of the free disk: it is there for the data.
const PERCENT: u64 = 15;
/// File systems on which the kernel swaps to a file whose blocks are only reserved.
const KINDS: [&str; 3] = ["ext4", "xfs", "btrfs"];
const DEADLINE: Duration = Duration::from_secs(60);

const FILE: &str = "/swapfile";
/// Renamed once it is whole: one that was cut off is never taken for one.
const NEW: &str = "/.swapfile.new";
/// A swap file that is gone must not stop a boot.
const FSTAB: &str = "/swapfile none swap sw,nofail 0 0\n";
/// The kernel's own 60 would push the database out for the sake of a backup that reads files.
const SWAPPINESS: &str = "10\n";

/// Makes swap where it is needed and there is room. Without it the server works, so that a failure is a warning.
pub(crate) fn ensure(system: &System, console: &Console) {
    match make(system) {
        Ok(None) => {}
        Ok(Some(done)) => console.say(&done),
        Err(error) => console.say(&format!(
            "WARNING: this machine has little memory, and its swap could not be set up: {error:#}; going on as it is"
        )),
    }
}

/// What was done, in words.
fn make(system: &System) -> Result<Option<String>> {
    let Ok(memory) = Memory::read(system) else { return Ok(None) };
    if memory.total_mb >= SMALL_MB || memory.swap_mb > 0 || is_container(system) {
        return Ok(None);
    }
    let table = files::read(&system.path("/etc/fstab"))?.unwrap_or_default();
    if has_other_swap(&table) {
        return Ok(None); // It is somebody's, and off: they know why.
    }
    let file = system.path(FILE);
    let is_new = !file.exists();
    if is_new {
        let disk = Disk::at(&system.root, DEADLINE)?;
        if !KINDS.contains(&disk.kind.as_str()) {
            return Ok(Some(format!("no swap is made: a {} cannot hold it", disk.kind)));
        }
        let Some(size) = size(disk.free_mb) else {
            return Ok(Some(format!("no swap is made: {} MB of free disk are too little", disk.free_mb)));
        };
        write(system, &file, size, &disk.kind)?;
    }
    if let Err(error) = run(Command::new("swapon").arg(&file), "swapon", DEADLINE) {
        if is_new {
            files::remove(&file)?;
        }
        return Err(error);
    }
    settle(system)?;
    if !table.contains(FSTAB.trim_end()) {
        // Last: a boot that was cut off before it does all of this again.
        let end = if table.is_empty() || table.ends_with('\n') { "" } else { "\n" };
        files::write(&system.path("/etc/fstab"), 0o644, &format!("{table}{end}{FSTAB}"))?;
    }
    Ok(Some(format!("made swap, for this machine has {} MB of memory", memory.total_mb)))
}

/// How much swap so much free disk allows, if any.
fn size(free_mb: u64) -> Option<u64> {
    let size = (free_mb * PERCENT / 100).min(MOST_MB) / 256 * 256;
    (size >= LEAST_MB).then_some(size)
}

fn write(system: &System, file: &Path, size_mb: u64, kind: &str) -> Result<()> {
    let new = system.path(NEW);
    files::remove(&new)?;
    let filled = fill(&new, size_mb, kind).and_then(|()| {
        fs::rename(&new, file).with_context(|| format!("cannot put {} in its place", file.display()))?;
        File::open(&system.root)?.sync_all().context("cannot write the root folder")
    });
    if filled.is_err() {
        // It may be what fills the disk.
        files::remove(&new)?;
    }
    filled
}

fn fill(new: &Path, size_mb: u64, kind: &str) -> Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new);
    let file = file.with_context(|| format!("cannot make {}", new.display()))?;
    if kind == "btrfs" {
        // While it is empty: https://btrfs.readthedocs.io/en/latest/Swapfile.html
        let flags = rustix::fs::ioctl_getflags(&file)?;
        rustix::fs::ioctl_setflags(&file, flags | IFlags::NOCOW)
            .context("cannot switch copy-on-write off")?;
    }
    // Not a file with holes, which the kernel refuses to swap to.
    run(
        Command::new("fallocate").args(["--length", &format!("{size_mb}M")]).arg(new),
        "fallocate",
        DEADLINE,
    )?;
    // It writes its head to the disk before it ends.
    run(Command::new("mkswap").arg(new), "mkswap", DEADLINE).map(drop)
}

/// Now and from the next boot on.
fn settle(system: &System) -> Result<()> {
    let setting = format!("vm.swappiness = {SWAPPINESS}");
    files::write(&system.path("/etc/sysctl.d/90-echora-swap.conf"), 0o644, &setting)?;
    let now = system.path("/proc/sys/vm/swappiness");
    fs::write(&now, SWAPPINESS).with_context(|| format!("cannot write {}", now.display()))
}

/// Swap belongs to the host; what a container switches on, all of its neighbours have.
fn is_container(system: &System) -> bool {
    // https://systemd.io/CONTAINER_INTERFACE/
    system.path("/run/systemd/container").exists() || system.path("/.dockerenv").exists()
}

fn has_other_swap(table: &str) -> bool {
    table.lines().any(|line| {
        let mut fields = line.split_whitespace();
        let (what, kind) = (fields.next().unwrap_or_default(), fields.nth(1));
        !what.starts_with('#') && kind == Some("swap") && what != FILE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_never_takes_much_of_the_disk() {
        let table = [
            (0, None),
            (3_000, None),
            (3_414, Some(512)),
            (6_900, Some(1024)),
            (14_000, Some(2048)),
            (1 << 20, Some(2048)),
        ];
        for (free, expected) in table {
            assert_eq!(size(free), expected, "{free}");
            assert!(expected.is_none_or(|size| size * 100 <= free * PERCENT), "{free}");
        }
    }

    #[test]
    fn swap_of_others_is_seen() {
        assert!(has_other_swap("UUID=1 / ext4 defaults 0 1\n/dev/sdb none swap sw 0 0\n"));
        assert!(!has_other_swap(
            "UUID=1 / ext4 defaults 0 1\n# /dev/sdb none swap sw 0 0\n/swapfile none swap sw,nofail 0 0\n"
        ));
    }
}
