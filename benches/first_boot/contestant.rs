//! Three ways to bring the same stack up on the same machine, each in the place of first boot's unit.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use echora_rehearsal::cell::Cell;

use crate::support::snapshot::Built;

/// The unit waits for this file: the machine is at rest when the time begins.
const HOLD: &str = "[Unit]\nConditionPathExists=/run/go\n";
pub(crate) const INSTEAD: &str = "[Service]\nExecStart=\nExecStart=/usr/local/bin/contestant\n";
const UNIT: &str = "etc/systemd/system/echora-firstboot.service.d";

/// What every contestant gets.
pub(crate) struct Field {
    /// Whose disk they boot.
    pub(crate) image: &'static Built,
    /// A guest binary in place of the image's own.
    pub(crate) guest: Option<PathBuf>,
}

/// One way.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    /// The script in place of the guest binary.
    script: Option<&'static str>,
    /// Whether all that it needs is there before the time begins.
    prepared: bool,
    /// Whether it prints a login.
    pub(crate) prints: bool,
}

/// The least that it can take: Compose alone, with all that it needs written beforehand.
pub(crate) const BARE: Contestant = Contestant {
    name: "docker compose up -d --wait, alone",
    script: Some("#!/bin/sh\ncd /opt/echora && exec docker compose up -d --wait\n"),
    prepared: true,
    prints: false,
};

/// First boot as the image has it.
pub(crate) const OURS: Contestant =
    Contestant { name: "echora-firstboot", script: None, prepared: false, prints: true };

/// What 1-Click images in the field do.
pub(crate) const USUAL: Contestant = Contestant {
    name: "a script of the usual kind",
    script: Some(include_str!("../usual.sh")),
    prepared: false,
    prints: true,
};

/// What prepares Compose alone on a machine with so many MiB: it gets the settings that first boot computes.
pub(crate) fn prepare_bare(memory_mb: u64) -> String {
    format!("TUNED='{}'\n{}", echora_firstboot::tuning::lines(memory_mb), include_str!("../prepare.sh"))
}

/// The memory of this host, which is that of every cell on it.
fn memory_of_host() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").context("the kernel does not tell its memory")?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    Ok(total.context("the kernel does not tell its memory")?.parse::<u64>()? / 1024)
}

impl Contestant {
    /// What is done on its machine before the time begins.
    pub(crate) fn prepare(&self) -> Result<String> {
        if self.prepared { memory_of_host().map(prepare_bare) } else { Ok("true".to_owned()) }
    }

    /// Puts it into a cell in place of first boot.
    pub(crate) fn install(&self, cell: &Cell, guest: Option<&Path>) -> Result<()> {
        cell.put(&format!("{UNIT}/hold.conf"), HOLD, 0o644)?;
        if let Some(guest) = guest {
            let binary = std::fs::read(guest).with_context(|| format!("cannot read {}", guest.display()))?;
            cell.put("usr/local/bin/echora-firstboot", binary, 0o755)?;
        }
        let Some(script) = self.script else {
            return Ok(());
        };
        cell.put(&format!("{UNIT}/instead.conf"), INSTEAD, 0o644)?;
        cell.put("usr/local/bin/contestant", script, 0o755)
    }
}
