//! A support bundle: what somebody who helps wants to see, without a secret.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::redact::{MASK, Redactor};
use super::{ask, certificate, tar};
use crate::compose;
use crate::files;
use crate::system::System;

/// Of a longer text the end is what matters.
const LARGEST: usize = 1 << 19;
/// Logs take longer than questions.
const LONGER: u32 = 3;

/// What is asked of other programs: the name in the bundle, and the command. `compose` is Docker Compose for the stack.
const QUESTIONS: [(&str, &str); 13] = [
    (
        "journal/echora-firstboot.txt",
        "journalctl --unit echora-firstboot --lines 500 --output short-iso --no-pager",
    ),
    ("journal/docker.txt", "journalctl --unit docker --lines 300 --output short-iso --no-pager"),
    ("journal/kernel.txt", "journalctl --dmesg --lines 300 --output short-iso --no-pager"),
    ("network/firewall.txt", "ufw status verbose"),
    ("network/listeners.txt", "ss -ltunp"),
    ("network/addresses.txt", "ip -brief address"),
    ("system/disk.txt", "df -h"),
    ("system/memory.txt", "free -m"),
    ("system/swap.txt", "swapon --show"),
    ("system/cloud-init.txt", "cloud-init status --long"),
    ("containers/ps.txt", "compose ps --all"),
    ("containers/logs.txt", "compose logs --no-color --timestamps --tail 300"),
    (CONFIGURATION, "compose config --no-interpolate --format json"),
];
const CONFIGURATION: &str = "containers/compose.json";

/// Files that are taken as they are, but for secrets.
const FILES: [&str; 5] = [
    "/etc/os-release",
    "/var/lib/echora/state.json",
    "/var/lib/echora/domain.json",
    "/var/lib/echora/caddy/echora.sites",
    "/var/lib/echora/caddy/echora.options",
];

/// Whether a bundle can be written there; asked before anything takes time.
pub(super) fn check(path: &Path) -> Result<()> {
    if path.exists() {
        bail!("{} exists already: name a file that does not", path.display());
    }
    let folder = std::path::absolute(path)?.parent().map(Path::to_path_buf).unwrap_or_default();
    if !folder.is_dir() {
        bail!("there is no folder {}", folder.display());
    }
    Ok(())
}

/// Writes the bundle: what the doctor has said already, and what it asks for it.
pub(super) fn write(
    system: &System,
    path: &Path,
    known: Vec<(String, String)>,
    patience: Duration,
    redactor: &Redactor,
) -> Result<()> {
    let mut content = known;
    content.extend(FILES.iter().filter_map(|file| {
        let text = files::read(&system.path(file)).unwrap_or_else(|error| Some(format!("{error:#}\n")))?;
        Some((format!("files{file}"), text))
    }));
    content.extend(answers(system, patience * LONGER));
    for (name, text) in &mut content {
        if *name == CONFIGURATION {
            *text = without_values(text);
        }
        end_of(&redactor.text(text)).clone_into(text);
    }
    let path = std::path::absolute(path)?;
    files::write(&path, 0o600, &tar::archive(&content, certificate::now()))
        .context("the bundle is not written")
}

/// Programs are asked side by side, each of them one question after the other: at once they would wait for themselves.
fn answers(system: &System, patience: Duration) -> Vec<(String, String)> {
    thread::scope(|scope| {
        let asked: Vec<_> = QUESTIONS
            .chunk_by(|(_, one), (_, other)| one.split(' ').next() == other.split(' ').next())
            .map(|questions| {
                scope.spawn(move || questions.iter().map(|q| answer(system, q, patience)).collect::<Vec<_>>())
            })
            .collect();
        asked.into_iter().flat_map(|program| program.join().unwrap_or_default()).collect()
    })
}

fn answer(system: &System, (name, command): &(&str, &str), patience: Duration) -> (String, String) {
    let words: Vec<&str> = command.split(' ').collect();
    let answer = match words[0] {
        "compose" => compose::ask(system, &words[1..], patience),
        program => ask(program, &words[1..], patience),
    };
    ((*name).to_owned(), answer.unwrap_or_else(|error| format!("{error:#}\n")))
}

/// Where a container's configuration holds what its operator chose; `x-` begins a name of the operator's own.
const CHOSEN: [&str; 8] =
    ["environment", "args", "content", "command", "entrypoint", "test", "labels", "annotations"];

/// The stack's configuration without any value that an operator may have put a secret in. A text that is no configuration
/// is why there is none.
fn without_values(text: &str) -> String {
    fn mask(tree: &mut Value, inside: bool) {
        match tree {
            Value::Object(map) => map.iter_mut().for_each(|(name, value)| {
                mask(value, inside || CHOSEN.contains(&name.as_str()) || name.starts_with("x-"));
            }),
            Value::Array(items) => items.iter_mut().for_each(|item| mask(item, inside)),
            value if inside => *value = MASK.into(),
            _ => {}
        }
    }
    match serde_json::from_str::<Value>(text) {
        Ok(mut tree) => {
            mask(&mut tree, false);
            format!("{tree:#}\n")
        }
        Err(_) => text.to_owned(),
    }
}

fn end_of(text: &str) -> &str {
    let begin = text.len().saturating_sub(LARGEST);
    let begin = (begin..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or_default();
    &text[begin..]
}
