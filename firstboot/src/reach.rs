//! Whether a domain leads to this machine: a token is fetched through it, over plain HTTP as a certificate authority
//! would, from every address that it has. The token decides, not the addresses: behind a NAT they differ.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::thread;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::dns::{Record, Resolver};
use crate::files;
use crate::secrets::{hex, random};
use crate::site::Site;
use crate::system::System;

mod fetch;
mod words;

use fetch::Fetched;

/// Nobody has more; a list without end would keep a boot.
const MOST: usize = 8;

/// What was found out about a domain: `/var/lib/echora/domain.json`, for whoever wants to tell it. The file's own time
/// tells when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) domain: String,
    /// All that the domain leads to is this machine.
    pub(crate) proved: bool,
    pub(crate) findings: Vec<Finding>,
}

/// One address of the domain, or the lack of any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finding {
    pub(crate) address: Option<IpAddr>,
    pub(crate) verdict: Verdict,
    /// The same for people, with what to do.
    pub(crate) words: String,
}

/// What an address of the domain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// This machine: the token came back.
    Here,
    /// There is neither an A nor an AAAA record.
    NoRecord,
    /// The name servers do not answer.
    Unknown,
    /// Another machine's.
    Elsewhere,
    /// One of a content delivery network that stands in front.
    Cdn,
    /// This machine's, but nothing answers at port 80.
    Closed,
    /// This machine's, but something else than Echora answers at port 80.
    Occupied,
}

impl Report {
    /// Asks the name servers and fetches the token through every address that they tell.
    pub(crate) fn make(system: &System, domain: &str, site: &Site) -> Result<Self> {
        let own = site.addresses();
        let findings = match look_up(system, domain) {
            Err(error) => vec![words::unknown(domain, &error)],
            Ok(addresses) if addresses.is_empty() => vec![words::no_record(domain, &own)],
            Ok(addresses) => {
                let token = Token::lay_out(system)?;
                let fetch = |address: IpAddr| fetch::fetch(domain, address, &token.path(), &token.secret);
                let fetched: Vec<Fetched> = thread::scope(|scope| {
                    let threads: Vec<_> =
                        addresses.iter().map(|address| scope.spawn(move || fetch(*address))).collect();
                    threads
                        .into_iter()
                        .map(|thread| thread.join().unwrap_or_else(|_| Fetched::broken()))
                        .collect()
                });
                let pairs = addresses.iter().zip(&fetched);
                pairs.map(|(address, fetched)| words::of(domain, *address, &own, fetched)).collect()
            }
        };
        let report = Self {
            domain: domain.to_owned(),
            proved: findings.iter().all(|finding| finding.verdict == Verdict::Here),
            findings,
        };
        Ok(report)
    }

    /// What was kept; none where nobody has looked.
    pub(crate) fn read(system: &System) -> Result<Option<Self>> {
        let path = system.domain_report();
        files::read(&path)?
            .map(|text| serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display())))
            .transpose()
    }

    /// Keeps it for later questions.
    pub(crate) fn write(&self, system: &System) -> Result<()> {
        files::write(&system.domain_report(), 0o600, &(serde_json::to_string_pretty(self)? + "\n"))
    }

    /// Removes it with the domain that it was about.
    pub(crate) fn forget(system: &System) -> Result<()> {
        files::remove(&system.domain_report())
    }

    /// What stands in the way, a line each.
    pub(crate) fn problems(&self) -> Vec<&str> {
        let wrong = self.findings.iter().filter(|finding| finding.verdict != Verdict::Here);
        wrong.map(|finding| finding.words.as_str()).collect()
    }
}

fn look_up(system: &System, domain: &str) -> Result<Vec<IpAddr>> {
    let resolver = Resolver::of(system)?;
    let mut addresses = resolver.ask(domain, Record::A)?;
    addresses.extend(resolver.ask(domain, Record::Aaaa)?);
    addresses.truncate(MOST);
    Ok(addresses)
}

/// A file that Caddy shows to everybody, behind the fence as behind the site; it goes with its owner.
struct Token {
    folder: PathBuf,
    name: String,
    /// Not the name: who repeats what was asked for proves nothing.
    secret: String,
}

impl Token {
    fn lay_out(system: &System) -> Result<Self> {
        let folder = system.caddy().join("proof");
        // One that was cut off leaves its file.
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        let token = Self { folder, name: hex(&random::<16>()?), secret: hex(&random::<32>()?) };
        files::folder_of_all(&token.folder)?;
        files::write(&token.folder.join(&token.name), 0o644, &token.secret)?;
        Ok(token)
    }

    fn path(&self) -> String {
        format!("/.well-known/echora/{}", self.name)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        // What stays is worth nothing to anybody, and the next proof removes it.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
