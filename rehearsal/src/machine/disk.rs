//! A machine's disks: its root, perhaps a config drive, and the snapshot that comes of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use provider_profiles::{Datasource, KeyDelivery};
use serde_json::Value;
use tokio::process::Command;

use super::laid::Laid;
use super::{Spec, script};
use crate::process::run;

const ROOT: &str = "root.qcow2";
pub(super) const DEADLINE: Duration = Duration::from_secs(300);

/// Files that the machine starts with.
#[derive(Debug)]
pub(super) struct Disks {
    pub(super) root: PathBuf,
    pub(super) config_drive: Option<PathBuf>,
}

pub(super) async fn prepare(folder: &Path, spec: &Spec<'_>) -> Result<Disks> {
    let boot = &spec.entry.profile.boot;
    let root = folder.join(ROOT);
    let mut laid = Laid::default();
    if boot.ssh_keys == KeyDelivery::Disk {
        laid.folder("/root/.ssh", 0o700);
        laid.file("/root/.ssh/authorized_keys", 0o600, spec.setting.ssh_keys.join("\n") + "\n");
    }
    if let Some(script) = spec.script {
        script::lay(&mut laid, script)?;
    }
    let backing =
        if laid.is_empty() { spec.backing.to_owned() } else { laid.onto(folder, spec.backing).await? };
    overlay(&backing, &root).await?;
    let config_drive = match &boot.datasource {
        Datasource::Http => None,
        Datasource::ConfigDrive { label } => Some(config_drive(folder, label, spec).await?),
    };
    Ok(Disks { root, config_drive })
}

/// Size of a disk image as a machine sees it, in bytes.
pub async fn virtual_bytes(image: &Path) -> Result<u64> {
    info(image).await?["virtual-size"].as_u64().context("qemu-img tells no size")
}

/// A qcow2 that only holds what changes against `backing`.
async fn overlay(backing: &Path, to: &Path) -> Result<()> {
    let format = info(backing).await?["format"].as_str().unwrap_or("raw").to_owned();
    let mut command = Command::new("qemu-img");
    command.args(["create", "-q", "-f", "qcow2", "-F", &format, "-b"]).arg(backing).arg(to);
    run(&mut command, "qemu-img create", DEADLINE).await.map(drop)
}

/// A standalone image of the machine's disk.
pub(super) async fn snapshot(folder: &Path, to: &Path) -> Result<()> {
    let mut command = Command::new("qemu-img");
    command.args(["convert", "-O", "qcow2"]).arg(folder.join(ROOT)).arg(to);
    run(&mut command, "qemu-img convert", DEADLINE).await.map(drop)
}

async fn info(image: &Path) -> Result<Value> {
    let mut command = Command::new("qemu-img");
    command.args(["info", "--output=json"]).arg(image);
    let text = run(&mut command, "qemu-img info", DEADLINE).await?;
    serde_json::from_str(&text).context("qemu-img tells no JSON")
}

/// The second disk of providers whose metadata comes on one.
async fn config_drive(folder: &Path, label: &str, spec: &Spec<'_>) -> Result<PathBuf> {
    let tree = folder.join("config-drive");
    for (path, content) in spec.entry.fixture.config_drive_files(spec.setting)? {
        let file = tree.join(path);
        fs::create_dir_all(file.parent().unwrap_or(&tree))
            .context("cannot make the config drive's folders")?;
        fs::write(file, content).context("cannot write the config drive")?;
    }
    let iso = folder.join("config-drive.iso");
    let mut command = Command::new("xorriso");
    command.args(["-as", "mkisofs", "-quiet", "-V", label, "-J", "-R", "-o"]).arg(&iso).arg(&tree);
    run(&mut command, "xorriso", DEADLINE).await?;
    Ok(iso)
}
