//! What a provider that deploys a machine's disk itself lays onto it before the first boot.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use super::disk::DEADLINE;
use crate::base::PARTITION_OFFSET;
use crate::process::run;

/// Files, folders and links for a disk, in the order in which they are laid. Paths have no spaces.
#[derive(Debug, Default)]
pub(super) struct Laid(Vec<Item>);

#[derive(Debug)]
enum Item {
    Folder(&'static str, u16),
    File(String, u16, String),
    Link(&'static str, &'static str),
}

impl Laid {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A folder, which may be there already.
    pub(super) fn folder(&mut self, path: &'static str, mode: u16) {
        self.0.push(Item::Folder(path, mode));
    }

    /// A file of root's in the place of what is there.
    pub(super) fn file(&mut self, path: impl Into<String>, mode: u16, text: impl Into<String>) {
        self.0.push(Item::File(path.into(), mode, text.into()));
    }

    /// A symbolic link.
    pub(super) fn link(&mut self, path: &'static str, to: &'static str) {
        self.0.push(Item::Link(path, to));
    }

    /// A copy of `backing` in `folder` with all this on it.
    pub(super) async fn onto(&self, folder: &Path, backing: &Path) -> Result<PathBuf> {
        let copy = folder.join("deployed.raw");
        let mut command = Command::new("qemu-img");
        command.args(["convert", "-O", "raw"]).arg(backing).arg(&copy);
        run(&mut command, "qemu-img convert", DEADLINE).await?;
        // What debugfs writes belongs to root.
        let mut script = String::new();
        for (number, item) in self.0.iter().enumerate() {
            script.push_str(&match item {
                Item::Folder(path, mode) => {
                    format!("mkdir {path}\nset_inode_field {path} mode 04{mode:04o}\n")
                }
                Item::File(path, mode, text) => {
                    let source = folder.join(format!("laid-{number}"));
                    fs::write(&source, text).with_context(|| format!("cannot keep {path} for the disk"))?;
                    let source = source.display();
                    format!("rm {path}\nwrite {source} {path}\nset_inode_field {path} mode 010{mode:04o}\n")
                }
                Item::Link(path, to) => format!("symlink {path} {to}\n"),
            });
        }
        let commands = folder.join("debugfs");
        fs::write(&commands, script).context("cannot write debugfs commands")?;
        let mut command = Command::new("debugfs");
        command
            .arg("-w")
            .arg("-f")
            .arg(&commands)
            .arg(format!("{}?offset={PARTITION_OFFSET}", copy.display()));
        run(&mut command, "debugfs", DEADLINE).await?;
        Ok(copy)
    }
}
