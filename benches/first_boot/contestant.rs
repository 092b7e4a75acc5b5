//! Three ways to bring the same stack up on the same machine, each in the place of first boot's unit.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use echora_rehearsal::cell::Cell;

/// The unit waits for this file: the machine is at rest when the time begins.
const HOLD: &str = "[Unit]\nConditionPathExists=/run/go\n";
pub(crate) const INSTEAD: &str = "[Service]\nExecStart=\nExecStart=/usr/local/bin/contestant\n";
const UNIT: &str = "etc/systemd/system/echora-firstboot.service.d";

/// What every contestant gets.
pub(crate) struct Field {
    /// The snapshot's disk.
    pub(crate) disk: PathBuf,
    /// A guest binary in place of the snapshot's own.
    pub(crate) guest: Option<PathBuf>,
}

/// One way.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    /// The script in place of the guest binary.
    script: Option<&'static str>,
    /// What is there before the time begins.
    pub(crate) prepare: &'static str,
    /// Whether it prints a login.
    pub(crate) prints: bool,
}

/// The least that it can take: Compose alone, with all that it needs written beforehand.
pub(crate) const BARE: Contestant = Contestant {
    name: "docker compose up -d --wait, alone",
    script: Some("#!/bin/sh\ncd /opt/echora && exec docker compose up -d --wait\n"),
    prepare: include_str!("../prepare.sh"),
    prints: false,
};

/// First boot as the image has it.
pub(crate) const OURS: Contestant =
    Contestant { name: "echora-firstboot", script: None, prepare: "true", prints: true };

/// What 1-Click images in the field do.
pub(crate) const USUAL: Contestant = Contestant {
    name: "a script of the usual kind",
    script: Some(include_str!("../usual.sh")),
    prepare: "true",
    prints: true,
};

impl Contestant {
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
