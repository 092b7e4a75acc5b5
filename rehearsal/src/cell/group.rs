//! Control groups of a cell's own: two cells in one would each take the other's services for theirs.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

const GROUPS: &str = "/sys/fs/cgroup";
/// How long what was killed may take to be gone.
const GONE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// The groups of one power-on; dropping them, once nothing runs in them any more, removes them.
#[derive(Debug)]
pub(super) struct Group {
    /// What systemd arranges its services in.
    services: PathBuf,
    /// What counts memory, where that is not done by the same.
    memory: Option<PathBuf>,
}

/// Memory as the kernel has counted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The most that was ever in use, in bytes; what is only kept of files counts, too.
    pub peak: u64,
    /// How many processes the kernel has killed because it was short.
    pub kills: u64,
}

impl Group {
    /// Groups called `name`; with `limit`, no more than so many bytes for all in them.
    pub(super) fn make(name: &str, limit: Option<u64>) -> Result<Self> {
        // An older kernel's interface, or one that has both: https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
        let older = Path::new(GROUPS).join("memory");
        let both = older.is_dir();
        let parent = if both { Path::new(GROUPS).join("unified") } else { PathBuf::from(GROUPS) };
        let group = Self { services: parent.join(name), memory: both.then(|| older.join(name)) };
        if !both && limit.is_some() {
            write(&parent, "cgroup.subtree_control", "+memory")?;
        }
        for folder in group.folders() {
            fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        match (limit, &group.memory) {
            (None, _) => {}
            (Some(bytes), Some(older)) => write(older, "memory.limit_in_bytes", &bytes.to_string())?,
            (Some(bytes), None) => {
                write(&group.services, "memory.max", &bytes.to_string())?;
                write(&group.services, "memory.swap.max", "0")?;
            }
        }
        Ok(group)
    }

    /// Files that take the id of whoever joins, one a line.
    pub(super) fn doors(&self) -> String {
        self.folders().map(|folder| folder.join("cgroup.procs").display().to_string() + "\n").collect()
    }

    pub(super) fn memory(&self) -> Result<Memory> {
        let (folder, peak, kills) = match &self.memory {
            Some(older) => (older, "memory.max_usage_in_bytes", "memory.oom_control"),
            None => (&self.services, "memory.peak", "memory.events"),
        };
        let read = |name: &str| fs::read_to_string(folder.join(name)).with_context(|| format!("no {name}"));
        let kills = read(kills)?;
        let kills = kills.lines().find_map(|line| line.strip_prefix("oom_kill "));
        Ok(Memory {
            peak: read(peak)?.trim().parse().context("the kernel's figure is none")?,
            kills: kills.and_then(|text| text.parse().ok()).context("the kernel counts no kills")?,
        })
    }

    fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.services).chain(&self.memory)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let end = Instant::now() + GONE;
        // One that stays for longer disturbs nobody: its name is not used again.
        while self.folders().any(|folder| !remove(folder)) && Instant::now() < end {
            thread::sleep(PAUSE);
        }
    }
}

/// Removes a group with those in it; whether it is gone.
fn remove(folder: &Path) -> bool {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    // Its files are the kernel's and go with it.
    fs::remove_dir(folder).is_ok() || !folder.exists()
}

fn write(folder: &Path, name: &str, value: &str) -> Result<()> {
    let file = folder.join(name);
    fs::write(&file, value).with_context(|| format!("cannot write {}", file.display()))
}
