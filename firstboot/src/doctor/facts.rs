//! All that can be told from the machine itself. Questions are asked side by side: one that nobody answers costs no more
//! than its own deadline.

use std::collections::BTreeMap;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Error, Result, anyhow};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::certificate::{self, Certificate};
use super::containers::{self, Container};
use super::history::{self, FirstBoot};
use super::ports::{self, Firewall, Port};
use super::site::{self, Site};
use crate::disk::Disk;
use crate::environment::Environment;
use crate::files;
use crate::inputs::Used;
use crate::instance::Instance;
use crate::memory::Memory;
use crate::system::System;

/// The names are those of `--json`: they stay. What nobody could tell is absent, and `unanswered` says why.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) version: String,
    /// The system's own name for itself.
    pub(crate) system: String,
    /// Seconds since 1970.
    pub(crate) time: i64,
    pub(crate) up_seconds: Option<u64>,
    pub(crate) reboot_required: bool,
    pub(crate) site: Site,
    pub(crate) certificate: Option<Certificate>,
    /// What is wrong with the domain.
    pub(crate) domain: Option<String>,
    pub(crate) addresses: Addresses,
    pub(crate) firewall: Option<Firewall>,
    pub(crate) ports: Option<Vec<Port>>,
    pub(crate) disk: Option<Disk>,
    pub(crate) memory: Option<Memory>,
    pub(crate) containers: Option<Vec<Container>>,
    pub(crate) first_boot: FirstBoot,
    /// Seconds of each step of the last boot, be it the first or a later one.
    pub(crate) last_boot_seconds: Option<BTreeMap<String, f64>>,
    pub(crate) inputs: Option<BTreeMap<String, Used>>,
    /// Whether the login still lies in root's folder.
    pub(crate) login_is_kept: bool,
    pub(crate) unanswered: Vec<Unanswered>,
}

/// The machine's addresses.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Addresses {
    /// What the app tells callers to send their voice to.
    pub(crate) announced: Option<String>,
    /// Where the default routes leave from.
    pub(crate) ipv4: Option<String>,
    pub(crate) ipv6: Option<String>,
}

/// A question without an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Unanswered {
    pub(crate) question: String,
    pub(crate) why: String,
}

impl Facts {
    /// Asks everything.
    pub(crate) fn gather(system: &System, patience: Duration) -> Self {
        let state = history::state(system);
        let known = state.as_ref().unwrap_or(&Value::Null);
        let url = known["url"].as_str().unwrap_or_default();
        thread::scope(|scope| {
            let containers = scope.spawn(|| containers::containers(system, patience));
            let door = scope.spawn(|| Ok(site::look(url, patience)));
            let app = scope.spawn(|| Ok(site::app_problem(system, patience)));
            let boot = scope.spawn(|| Ok(history::first_boot(system, known, patience)));
            let disk = scope.spawn(|| Disk::at(&system.root, patience));
            let network = scope.spawn(|| Ok(network(patience)));

            let mut open = Open(Vec::new());
            let (firewall, ports) = open.close("network", network).unzip();
            let (door, certificate) = open.close("site", door).unwrap_or_default();
            let inputs = history::inputs(known);
            Self {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                system: name(system),
                time: certificate::now(),
                up_seconds: up(system),
                reboot_required: system.path("/run/reboot-required").exists(),
                site: Site { app_problem: open.close("app", app).flatten(), ..door },
                certificate,
                domain: history::domain(system),
                addresses: Addresses::of(system),
                firewall: firewall.and_then(|answer| open.take("firewall", answer)),
                ports: ports.and_then(|answer| open.take("ports", answer)),
                disk: open.close("disk", disk),
                memory: open.take("memory", Memory::read(system)),
                containers: open.close("containers", containers),
                first_boot: open.close("first_boot", boot).unwrap_or_default(),
                last_boot_seconds: history::last_boot(system),
                inputs,
                login_is_kept: system.credentials().exists(),
                unanswered: {
                    if let Err(error) = &state {
                        open.note("state", error);
                    }
                    open.0
                },
            }
        })
    }
}

impl Addresses {
    fn of(system: &System) -> Self {
        let environment = files::read(&system.environment()).ok().flatten().unwrap_or_default();
        let own = Instance::of_default_route();
        let announced = Environment::parse(&environment).get("ANNOUNCED_IP").map(str::to_owned);
        Self { announced, ipv4: own.public_ipv4, ipv6: own.public_ipv6 }
    }
}

/// Questions that nobody answered.
struct Open(Vec<Unanswered>);

impl Open {
    /// Takes the answer when it is there.
    fn close<T>(&mut self, question: &str, asked: ScopedJoinHandle<'_, Result<T>>) -> Option<T> {
        let answer = asked.join().unwrap_or_else(|_| Err(anyhow!("the question broke off")));
        self.take(question, answer)
    }

    fn take<T>(&mut self, question: &str, answer: Result<T>) -> Option<T> {
        answer.map_err(|error| self.note(question, &error)).ok()
    }

    fn note(&mut self, question: &str, error: &Error) {
        self.0.push(Unanswered { question: question.to_owned(), why: format!("{error:#}") });
    }
}

/// The firewall first: what listens is told with what it does.
fn network(patience: Duration) -> (Result<Firewall>, Result<Vec<Port>>) {
    let firewall = ports::firewall(patience);
    let ports = match &firewall {
        Ok(firewall) => ports::ports(firewall, patience),
        Err(_) => Err(anyhow!("what the firewall does is not known")),
    };
    (firewall, ports)
}

/// How the system calls itself.
fn name(system: &System) -> String {
    let about = files::read(&system.path("/etc/os-release")).ok().flatten().unwrap_or_default();
    let name = about.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("an unknown system").trim_matches('"').to_owned()
}

fn up(system: &System) -> Option<u64> {
    let text = files::read(&system.path("/proc/uptime")).ok()??;
    text.split('.').next()?.parse().ok()
}
