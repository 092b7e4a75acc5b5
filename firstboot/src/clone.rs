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
    for path in
        host_keys(system)?.into_iter().map(|name| format!("{SSH}/{name}.pub")).chain([MACHINE_ID.to_owned()])
    {
        // An empty one is what a power cut made of it.
        if let Some(text) = files::read(&system.path(&path))?.filter(|text| !text.is_empty()) {
            identity.insert(path, format!("{:08x}", crc32fast::hash(text.as_bytes())));
        }
    }
    Ok(identity)
}

/// Makes anew what is still the original's, or is missing because a run was cut off in between. cloud-init makes host
/// keys for a new instance itself: then there is nothing to do.
pub(crate) fn renew_identity(
    system: &System,
    original: &BTreeMap<String, String>,
) -> Result<Vec<&'static str>> {
    let now = identity(system)?;
    let is_old = |path: &&String| now.get(*path).is_none_or(|sum| original.get(*path) == Some(sum));
    let old: Vec<&String> = original.keys().filter(is_old).collect();
    let mut renewed = Vec::new();
    if old.iter().any(|path| path.starts_with(SSH)) {
        for public in old.iter().filter(|path| path.starts_with(SSH)) {
            files::remove(&system.path(public.trim_end_matches(".pub")))?;
            files::remove(&system.path(public))?;
        }
        // It makes the kinds that are missing and leaves the others alone.
        run(Command::new("ssh-keygen").arg("-A").arg("-f").arg(&system.root), "ssh-keygen", DEADLINE)?;
        sync_host_keys(system)?;
        run(Command::new("systemctl").args(["try-reload-or-restart", "ssh.service"]), "systemctl", DEADLINE)?;
        renewed.push("SSH host keys");
    }
    if old.iter().any(|path| *path == MACHINE_ID) {
        files::remove(&system.path(MACHINE_ID))?;
        let mut setup = Command::new("systemd-machine-id-setup");
        run(setup.arg("--root").arg(&system.root), "systemd-machine-id-setup", DEADLINE)?;
        renewed.push("machine id");
    }
    Ok(renewed)
}

/// It does not do so itself, and keys that are empty after a power cut let nobody in.
fn sync_host_keys(system: &System) -> Result<()> {
    let folder = system.path(SSH);
    let keys = host_keys(system)?.into_iter().flat_map(|name| [format!("{name}.pub"), name]);
    let mut paths = keys.map(|name| folder.join(name)).chain([folder.clone()]);
    paths.try_for_each(|path| files::sync(&path)).context("cannot keep the SSH host keys")
}

fn host_keys(system: &System) -> Result<Vec<String>> {
    let Ok(entries) = fs::read_dir(system.path(SSH)) else {
        return Ok(Vec::new());
    };
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
