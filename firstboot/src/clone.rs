//! A copy of a configured machine: its data stays, what must be unique to a machine is made anew.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command::run;
use crate::files;
use crate::system::System;

const DEADLINE: Duration = Duration::from_secs(60);
const MACHINE_ID: &str = "/etc/machine-id";
const SSH: &str = "/etc/ssh";

/// What tells this machine from others: checksums of its machine id and host keys.
pub(crate) fn identity(system: &System) -> Result<BTreeMap<String, String>> {
    let mut identity = BTreeMap::new();
    for path in host_keys(system)?.into_iter().map(|name| format!("{SSH}/{name}.pub")).chain([MACHINE_ID.to_owned()]) {
        if let Some(text) = files::read(&system.path(&path))? {
            identity.insert(path, format!("{:08x}", crc32fast::hash(text.as_bytes())));
        }
    }
    Ok(identity)
}

/// Makes anew what is still the original's. cloud-init makes host keys for a new instance itself: then there is
/// nothing to do.
pub(crate) fn renew_identity(system: &System, original: &BTreeMap<String, String>) -> Result<Vec<&'static str>> {
    let same: Vec<String> =
        identity(system)?.into_iter().filter(|(path, sum)| original.get(path) == Some(sum)).map(|(path, _)| path).collect();
    let mut renewed = Vec::new();
    if same.iter().any(|path| path.starts_with(SSH)) {
        for name in host_keys(system)? {
            for file in [name.clone(), format!("{name}.pub")] {
                files::remove(&system.path(&format!("{SSH}/{file}")))?;
            }
        }
        run(Command::new("ssh-keygen").arg("-A").arg("-f").arg(&system.root), "ssh-keygen", DEADLINE)?;
        run(Command::new("systemctl").args(["try-reload-or-restart", "ssh.service"]), "systemctl", DEADLINE)?;
        renewed.push("SSH host keys");
    }
    if same.iter().any(|path| path == MACHINE_ID) {
        files::remove(&system.path(MACHINE_ID))?;
        run(Command::new("systemd-machine-id-setup").arg("--root").arg(&system.root), "systemd-machine-id-setup", DEADLINE)?;
        renewed.push("machine id");
    }
    Ok(renewed)
}

fn host_keys(system: &System) -> Result<Vec<String>> {
    let Ok(entries) = fs::read_dir(system.path(SSH)) else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.context("cannot list the SSH host keys")?.file_name().to_string_lossy().into_owned();
        if name.starts_with("ssh_host_") && name.ends_with("_key") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
