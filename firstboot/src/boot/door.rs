//! A look at the front door from outside, with curl: this binary speaks no TLS.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command::run;
use crate::interrupt::heed;
use crate::system::System;

/// A certificate of Caddy's own CA is made in milliseconds, on a slow machine in seconds.
const DEADLINE: Duration = Duration::from_secs(120);
const ASK: Duration = Duration::from_secs(40);

/// Waits until the site answers at `url` on this machine: the app's health, and a login that is refused by it.
pub(crate) fn check(system: &System, url: &str) -> Result<()> {
    let end = Instant::now() + system.at_most(DEADLINE);
    loop {
        heed()?;
        match look(url) {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > end => {
                return Err(error).context("the site does not answer at its front door");
            }
            Err(_) => thread::sleep(Duration::from_millis(250)),
        }
    }
}

/// Whether visitors get a certificate for `url` that this machine's authorities vouch for.
pub(crate) fn is_certified(url: &str) -> bool {
    curl(url, "/", &[]).is_ok()
}

fn look(url: &str) -> Result<()> {
    let health: Value =
        serde_json::from_str(&ask(url, "/api/health", &[])?).context("the front door leads elsewhere")?;
    if health["status"] != "ok" {
        bail!("the app is not well: {health}");
    }
    let junk = ["--header", "Content-Type: application/json", "--data", r#"{"username":"-","password":"-"}"#];
    let login = ask(url, "/api/auth/login", &junk)?;
    if !login.contains("error") {
        bail!("a login with junk was not refused");
    }
    Ok(())
}

/// Whatever the certificate is.
fn ask(url: &str, path: &str, more: &[&str]) -> Result<String> {
    curl(url, path, &[&["--insecure"], more].concat())
}

/// The address stays the one that visitors use, the connection goes to this machine: it may sit behind a NAT.
fn curl(url: &str, path: &str, more: &[&str]) -> Result<String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "30", "--connect-to", "::localhost:"]);
    command.args(more).arg(format!("{url}{path}"));
    run(&mut command, "curl", ASK)
}
