//! What a build needs before it can start, all told at once: a rehearsal of the machine that it runs on, a build in an
//! account of the account too.

mod account;
mod registry;

use std::path::Path;

use anyhow::Result;
use echora_rehearsal::need::Missing;

pub use account::{Found, account};

const PROGRAMS: [&str; 11] = [
    "qemu-system-x86_64",
    "qemu-img",
    "mmdebstrap",
    "mkfs.ext4",
    "debugfs",
    "sfdisk",
    "grub-mkimage",
    "dnsmasq",
    "xorriso",
    "ip",
    "ssh-keygen",
];
/// A base disk, two snapshots and what the machines write.
const DISK_BYTES: u64 = 8 << 30;
/// A machine of 2 GB and QEMU's own.
const MEMORY_KB: u64 = 3 << 20;

/// Checks for a rehearsal.
pub fn rehearsal() -> Result<()> {
    let mut missing = Vec::new();
    if !rustix::process::geteuid().is_root() {
        missing.push("root, for network namespaces (run it with sudo)".to_owned());
    }
    missing.extend(PROGRAMS.iter().filter(|name| !on_path(name)).map(|name| format!("the program {name}")));
    let free = free_bytes(&tempfile::env::temp_dir());
    if free < DISK_BYTES {
        missing.push(format!(
            "disk: {} GB free for temporary files, {} GB needed",
            free >> 30,
            DISK_BYTES >> 30
        ));
    }
    let memory = available_kb();
    if memory < MEMORY_KB {
        missing.push(format!("memory: {} MB available, {} MB needed", memory >> 10, MEMORY_KB >> 10));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let what = format!("a rehearsal cannot start here; missing:\n  {}", missing.join("\n  "));
    Err(Missing::new(what, "`make setup` installs the programs").into())
}

fn on_path(name: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(name).is_file())
}

fn free_bytes(folder: &Path) -> u64 {
    rustix::fs::statvfs(folder).map_or(u64::MAX, |about| about.f_bavail * about.f_frsize)
}

fn available_kb() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(u64::MAX)
}
