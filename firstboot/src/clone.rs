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
/// Where new host keys are made, on the same file system: a server that starts meanwhile finds whole ones.
const ASIDE: &str = "/etc/ssh/echora-new";

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
    let keys: Vec<&str> =
        old.iter().filter_map(|path| path.strip_prefix(SSH)?.strip_suffix(".pub")).collect();
    if !keys.is_empty() {
        renew_host_keys(system, &keys).context("cannot make SSH host keys anew")?;
        // Not reloaded: where systemd holds the port for it, a server that starts itself anew cannot bind it and ends.
        run(Command::new("systemctl").args(["try-restart", "ssh.service"]), "systemctl", DEADLINE)?;
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

/// At no moment there is no key: the SSH server comes up beside us, and without one it does not.
fn renew_host_keys(system: &System, keys: &[&str]) -> Result<()> {
    let (folder, aside) = (system.path(SSH), system.path(ASIDE));
    files::clear(&aside)?;
    let made = aside.join(SSH.trim_start_matches('/'));
    files::folder_of_root(&made)?;
    run(Command::new("ssh-keygen").arg("-A").arg("-f").arg(&aside), "ssh-keygen", DEADLINE)?;
    let names = keys.iter().map(|key| key.trim_start_matches('/'));
    for name in names.flat_map(|name| [name.to_owned(), format!("{name}.pub")]) {
        let (new, path) = (made.join(&name), folder.join(&name));
        if new.exists() {
            // It does not do so itself, and keys that are empty after a power cut let nobody in.
            files::sync(&new).with_context(|| format!("cannot keep {}", new.display()))?;
            files::rename(&new, &path)?;
        } else {
            // A kind that is not made any more.
            files::remove(&path)?;
        }
    }
    files::clear(&aside)?;
    files::sync(&folder).with_context(|| format!("cannot keep {}", folder.display()))
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
