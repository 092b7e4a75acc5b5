//! The front door as a visitor meets it, from this machine; and the app behind it.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::ask;
use super::certificate::Certificate;
use crate::owner::Backend;
use crate::system::System;

/// What the door answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Site {
    /// Where the site is; empty until first boot has come so far.
    pub(crate) url: String,
    /// 200 when it is open, 503 while visitors are told to wait.
    pub(crate) status: Option<u16>,
    pub(crate) seconds: Option<f64>,
    /// Why there is no answer.
    pub(crate) problem: Option<String>,
    /// Why the app, or its database, does not answer; nothing when it does.
    pub(crate) app_problem: Option<String>,
}

/// Asks at the site's own address, but connects to this machine: it may sit behind a NAT.
pub(crate) fn look(url: &str, patience: Duration) -> (Site, Option<Certificate>) {
    let site = Site { url: url.to_owned(), ..Site::default() };
    if url.is_empty() {
        return (site, None);
    }
    match knock(url, patience) {
        Ok((status, seconds, certificate)) => {
            (Site { status: Some(status), seconds: Some(seconds), ..site }, certificate)
        }
        Err(error) => (Site { problem: Some(format!("{error:#}")), ..site }, None),
    }
}

/// Why the app does not reach its database, if so.
pub(crate) fn app_problem(system: &System, patience: Duration) -> Option<String> {
    Backend::within(&system.backend, patience).is_ready().err().map(|error| format!("{error:#}"))
}

fn knock(url: &str, patience: Duration) -> Result<(u16, f64, Option<Certificate>)> {
    let (page, limit) = (format!("{url}/api/health"), patience.as_secs().max(1).to_string());
    // https://curl.se/docs/manpage.html#-w
    let told = ask(
        "curl",
        &[
            "--silent",
            "--show-error",
            "--insecure",
            "--max-time",
            &limit,
            "--connect-to",
            "::localhost:",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code} %{time_total} %{ssl_verify_result}\\n%{certs}",
            &page,
        ],
        patience + Duration::from_secs(1),
    )?;
    let (head, certs) = told.split_once('\n').context("curl tells nothing")?;
    let [status, seconds, verified] = head.split(' ').collect::<Vec<_>>()[..] else {
        bail!("curl tells something else: {head}");
    };
    Ok((status.parse()?, seconds.parse()?, Certificate::parse(certs, verified == "0")))
}
