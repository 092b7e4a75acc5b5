//! `echora-domain`: the domain of this server, asked for, checked, and changed as one transaction.

use std::time::{Duration, Instant};
use std::{fmt, thread};

use anyhow::{Context, Result, bail};

use crate::boot::door;
use crate::change;
use crate::inputs::rules;
use crate::reach::Report;
use crate::site::Site;
use crate::state::{State, instance_id};
use crate::system::System;
use crate::turn::Turn;

/// An authority answers in seconds; the site is served without it meanwhile.
const CERTIFICATE: Duration = Duration::from_secs(30);

/// The name of a domain, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Checks a name; the error says what it must be.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        rules::domain(text).map(Self)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Prints which domain this server has and how far it has come.
pub fn show(system: &System) -> Result<()> {
    let site = site(system)?;
    if system.change().exists() {
        println!(
            "a change of the domain is under way, or was cut off: then the next `echora-domain NAME`, or the next boot, \
             undoes it"
        );
    }
    match &site.domain {
        None => println!("this server has no domain; it is at {}", site.url()),
        Some(domain) if site.proved => println!("{domain}: this server is at {}", site.url()),
        Some(domain) => println!(
            "{domain}: not seen to lead to this server yet, which is at {}; look why with `echora-domain --check`",
            site.url()
        ),
    }
    Ok(())
}

/// Looks whether a domain, or this server's own, leads here. Changes nothing; fails when it does not.
pub fn check(system: &System, name: Option<&Name>) -> Result<()> {
    let _turn = Turn::take(system)?;
    let site = site(system)?;
    let own = site.domain.clone();
    let domain = name.map(|name| name.0.clone()).or(own.clone());
    let domain = domain.context("this server has no domain: give one to check")?;
    let report = Report::make(system, &domain, &site)?;
    if own == Some(domain) {
        report.write(system)?;
    }
    for finding in &report.findings {
        println!("{}", finding.words);
    }
    if !report.proved {
        bail!("{} does not lead to this server", report.domain);
    }
    Ok(())
}

/// Makes `name` this server's domain, or leaves everything as it was. `force` does without the proof that it leads
/// here.
pub fn set(system: &System, name: &Name, force: bool) -> Result<()> {
    let _turn = Turn::take(system)?;
    let old = as_it_is(system)?;
    let report = Report::make(system, &name.0, &old)?;
    for finding in &report.findings {
        println!("{}", finding.words);
    }
    if !report.proved && !force {
        bail!(
            "{name} does not lead to this server; nothing was changed. Cure what is said above, or use --force if you \
             know better: certificate authorities stop listening for hours after a few failures"
        );
    }
    let new = Site { domain: Some(name.0.clone()), chosen: true, proved: true, ..old };
    change::make(system, &new).with_context(|| format!("{name} did not become this server's domain"))?;
    report.write(system)?;
    println!("this server is now at {}", new.url());
    println!("passkeys are bound to {name} from now on");
    match is_certified(&new.url()) {
        true => println!("its certificate is there"),
        false => println!(
            "its certificate is not there yet: browsers warn until then. Caddy goes on asking for it, with growing \
             pauses: docker compose --project-directory /opt/echora logs caddy"
        ),
    }
    Ok(())
}

/// Makes this server one without a domain, which is then at its address, or leaves everything as it was.
pub fn remove(system: &System) -> Result<()> {
    let _turn = Turn::take(system)?;
    let old = as_it_is(system)?;
    let new = Site { domain: None, chosen: true, proved: false, ..old.clone() };
    let Some(name) = old.domain else {
        println!("this server has no domain; it is at {}", new.url());
        return Ok(());
    };
    change::make(system, &new).with_context(|| format!("{name} is still this server's domain"))?;
    Report::forget(system)?;
    println!("this server is now at {}", new.url());
    println!("passkeys that were made for {name} do not work any more; passwords do");
    Ok(())
}

/// The site, once what was cut off is undone.
fn as_it_is(system: &System) -> Result<Site> {
    if change::undo_what_was_cut_off(system)? {
        println!("undid an earlier change that was cut off");
    }
    site(system)
}

fn site(system: &System) -> Result<Site> {
    const HINT: &str = "this server is not set up yet: wait for its first boot (systemctl status echora-firstboot), or \
                        set `domain` in /etc/echora/config.toml before it";
    let state = State::read(system)?.filter(|state| state.is_finished_for(&instance_id(system)));
    let state = state.context(HINT)?;
    Site::of_state(system, &state)?.context(HINT)
}

fn is_certified(url: &str) -> bool {
    let end = Instant::now() + CERTIFICATE;
    loop {
        match door::is_certified(url) {
            true => return true,
            false if Instant::now() > end => return false,
            false => thread::sleep(Duration::from_millis(500)),
        }
    }
}
