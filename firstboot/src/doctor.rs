//! `echora-doctor`: how this server is, on one screen, and what to do about it.
//!
//! Facts are gathered side by side, each with a deadline; secrets are taken out of them before anything else sees them.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;

use crate::command::run;
use crate::system::System;
use facts::Facts;
use findings::Finding;
use redact::Redactor;

mod bundle;
mod certificate;
mod containers;
mod facts;
mod findings;
mod history;
mod ports;
mod redact;
mod screen;
mod site;
mod tar;
mod words;

/// How long a question may take unless the operator says otherwise.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the doctor is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Facts and findings for machines, on standard output.
    pub json: bool,
    /// Where a support bundle is to be written, if anywhere.
    pub bundle: Option<PathBuf>,
    /// How long each question may take.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { json: false, bundle: None, patience: PATIENCE }
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    healthy: bool,
    findings: &'a [Finding],
    #[serde(flatten)]
    facts: &'a Facts,
}

/// Looks at the machine and tells; whether all is well.
pub fn doctor(system: &System, options: &Options) -> Result<bool> {
    if !rustix::process::geteuid().is_root() {
        bail!("the doctor reads what only root may: run it as root, or with sudo");
    }
    if let Some(path) = &options.bundle {
        bundle::check(path)?;
    }
    let redactor = Redactor::of(system);
    let facts = Facts::gather(system, options.patience);
    // From here on nobody has the secrets: what is said is made of what is redacted.
    let redacted = redactor.value(serde_json::to_value(&facts)?);
    let facts: Facts = serde_json::from_value(redacted).context("the facts cannot be redacted")?;
    let findings = findings::of(&facts);
    let healthy = findings.iter().all(|finding| !finding.needs_attention());
    let report = serde_json::to_string_pretty(&Report { healthy, findings: &findings, facts: &facts })?;
    let stdout = std::io::stdout();
    let colours = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if options.json {
        println!("{report}");
    } else {
        print!("{}", screen::render(&facts, &findings, colours));
    }
    if let Some(path) = &options.bundle {
        let known = vec![
            ("doctor.json".to_owned(), report + "\n"),
            ("doctor.txt".to_owned(), screen::render(&facts, &findings, false)),
        ];
        bundle::write(system, path, known, options.patience, &redactor)?;
        eprintln!(
            "bundle: {} holds no secret that is known here; look into it before you send it",
            path.display()
        );
    }
    Ok(healthy)
}

/// What another program says.
fn ask(program: &str, arguments: &[&str], patience: Duration) -> Result<String> {
    run(Command::new(program).args(arguments), program, patience)
}

/// A text of a tree; empty where there is none.
fn text(tree: &Value) -> String {
    tree.as_str().unwrap_or_default().to_owned()
}
