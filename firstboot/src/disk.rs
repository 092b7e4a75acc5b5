//! What kind of file system lies at a path, and how full it is.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::command::run;

/// A file system, as `df` tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Disk {
    /// `ext4`, `btrfs`, ...
    pub(crate) kind: String,
    pub(crate) size_mb: u64,
    /// What is left for programs.
    pub(crate) free_mb: u64,
    /// Of the files that there can be, how many percent there are; none where files have no number.
    pub(crate) files_percent: Option<u64>,
}

impl Disk {
    /// Asks about the file system that holds `path`.
    pub(crate) fn at(path: &Path, deadline: Duration) -> Result<Self> {
        let mut command = Command::new("df");
        command.args(["--output=fstype,size,avail,ipcent", "--block-size=1M"]).arg(path);
        let told = run(&mut command, "df", deadline)?;
        Self::parse(&told).with_context(|| format!("df tells nothing of {}", path.display()))
    }

    fn parse(told: &str) -> Option<Self> {
        let mut fields = told.lines().nth(1)?.split_whitespace();
        Some(Self {
            kind: fields.next()?.to_owned(),
            size_mb: fields.next()?.parse().ok()?,
            free_mb: fields.next()?.parse().ok()?,
            files_percent: fields.next()?.trim_end_matches('%').parse().ok(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn df_is_understood() {
        let told = "Type  1M-blocks Avail IUse%\nbtrfs     24576 18000     -\n";
        let disk = Disk { kind: "btrfs".into(), size_mb: 24576, free_mb: 18000, files_percent: None };
        assert_eq!(Disk::parse(told), Some(disk));
        assert_eq!(Disk::parse("Type\n"), None);
    }

    #[test]
    fn a_real_disk_answers() {
        let disk = Disk::at(Path::new("/"), Duration::from_secs(30)).unwrap();
        assert!(disk.size_mb > disk.free_mb && !disk.kind.is_empty(), "{disk:?}");
    }
}
