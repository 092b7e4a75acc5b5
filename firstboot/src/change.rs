//! A change of what is served: whole, or everything as it was. What the files said before lies in a record while the
//! change goes on; whoever finds a record finds a change that was cut off, and undoes it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::boot::door;
use crate::caddy::{self, Gate};
use crate::compose;
use crate::credentials;
use crate::engine;
use crate::files;
use crate::interrupt::{Deferred, heed};
use crate::site::Site;
use crate::state::State;
use crate::system::System;

/// The trial's folder as Caddy's container sees it: compose.yaml mounts the instance's folder there.
const TRIAL: &str = "/etc/caddy/instance/trial/Caddyfile";
/// Everything that a change writes, with its mode; the credentials follow the state.
const FILES: [(&str, u32); 5] = [
    ("/var/lib/echora/caddy/echora.options", 0o644),
    ("/var/lib/echora/caddy/echora.sites", 0o644),
    ("/var/lib/echora/backend.env", 0o600),
    ("/var/lib/echora/site.json", 0o600),
    ("/var/lib/echora/state.json", 0o600),
];

/// A file as it was.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    path: String,
    mode: u32,
    /// None: there was no such file.
    content: Option<String>,
}

/// Makes `site` the one that is served, and looks whether it is; else everything is as it was.
pub(crate) fn make(system: &System, site: &Site) -> Result<()> {
    validate(system, site).context("Caddy refuses the new configuration; nothing was changed")?;
    // Whoever asks to end meanwhile gets everything as it was.
    let _deferred = Deferred::begin()?;
    let record = system.change();
    files::write(&record, 0o600, &serde_json::to_string(&save(system)?)?)?;
    match switch(system, site) {
        Ok(()) => files::remove(&record),
        Err(error) => {
            undo(system).context(
                "a change failed and could not be undone; the next start of this command or of the \
                                  server tries again",
            )?;
            Err(error.context("everything is as it was before"))
        }
    }
}

/// Undoes a change that was cut off. Says whether there was one.
pub(crate) fn undo_what_was_cut_off(system: &System) -> Result<bool> {
    if !system.change().exists() {
        return Ok(false);
    }
    engine::wait(system)?;
    undo(system).context("a change of the domain was cut off and cannot be undone")?;
    Ok(true)
}

fn save(system: &System) -> Result<Vec<Saved>> {
    let saved = FILES.into_iter().map(|(path, mode)| {
        Ok(Saved { path: path.to_owned(), mode, content: files::read(&system.path(path))? })
    });
    saved.collect()
}

fn switch(system: &System, site: &Site) -> Result<()> {
    let variables = system.backend_environment();
    let restart = files::read(&variables)?.unwrap_or_default() != site.passkeys();
    site.write(system)?;
    caddy::write(system, Gate::Site, site)?;
    files::write(&variables, 0o600, &site.passkeys())?;
    compose::reload_caddy(system)?;
    heed()?;
    if restart {
        start_app(system)?;
    }
    let url = site.url();
    door::check(system, &url)?;
    heed()?;
    let mut state = State::read(system)?.context("this server has no state")?;
    state.url.clone_from(&url);
    state.write(system)?;
    credentials::readdress(system, &url)
}

fn undo(system: &System) -> Result<()> {
    let record = system.change();
    let text = files::read(&record)?.context("there is no record of the change")?;
    let saved: Vec<Saved> =
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", record.display()))?;
    for Saved { path, mode, content } in &saved {
        match content {
            Some(content) => files::write(&system.path(path), *mode, content)?,
            None => files::remove(&system.path(path))?,
        }
    }
    compose::start(system, &["caddy"])?;
    compose::reload_started_caddy(system)?;
    start_app(system)?;
    if let Some(state) = State::read(system)? {
        credentials::readdress(system, &state.url)?;
    }
    files::remove(&record)
}

/// Compose makes the app's container anew only where it runs with other variables than those of the file.
fn start_app(system: &System) -> Result<()> {
    compose::start(system, &["backend"])?;
    compose::wait_for_app(system)
}

/// Shows Caddy the whole configuration, the operator's own files included, in a folder of its own.
fn validate(system: &System, site: &Site) -> Result<()> {
    let trial = system.caddy().join("trial");
    files::clear(&trial)?;
    let judged = lay_out(system, site, &trial).and_then(|()| compose::validate_caddy(system, TRIAL));
    files::clear(&trial)?;
    judged
}

fn lay_out(system: &System, site: &Site, trial: &Path) -> Result<()> {
    let copy = |from: &Path, to: &Path| {
        let text = files::read(from)?.with_context(|| format!("{} is missing", from.display()))?;
        files::write(to, 0o644, &text)
    };
    for folder in [trial, &trial.join("instance")] {
        files::folder_of_all(folder)?;
    }
    copy(&system.stack().join("Caddyfile"), &trial.join("Caddyfile"))?;
    let instance = system.caddy();
    let list = || format!("cannot list {}", instance.display());
    for entry in fs::read_dir(&instance).with_context(list)? {
        let path = entry.with_context(list)?.path();
        let is_read = path.extension().is_some_and(|kind| kind == "options" || kind == "sites");
        if let (true, Some(name)) = (is_read, path.file_name()) {
            copy(&path, &trial.join("instance").join(name))?;
        }
    }
    for (name, content) in caddy::FILES.into_iter().zip(caddy::contents(Gate::Site, site)) {
        files::write(&trial.join("instance").join(name), 0o644, &content)?;
    }
    Ok(())
}
