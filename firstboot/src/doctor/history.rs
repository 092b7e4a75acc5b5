//! What the boots did, out of the files that they left.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::redact::{MASK, is_secret_name};
use super::{ask, text};
use crate::files;
use crate::inputs::Used;
use crate::reach::Report;
use crate::site::Site;
use crate::state::instance_id;
use crate::system::System;

/// The state of a unit whose last start failed.
pub(super) const FAILED: &str = "failed";
const UNIT: &str = "echora-firstboot.service";

/// First boot, as far as it came.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FirstBoot {
    pub(crate) finished: bool,
    /// The version that did it.
    pub(crate) version: String,
    /// Seconds of each step.
    pub(crate) seconds: BTreeMap<String, f64>,
    /// `active`, `activating`, `failed`, ...
    pub(crate) unit: String,
    /// What it, or a later boot, said of its failure, unless it has finished since.
    pub(crate) failure: Option<String>,
}

/// `state.json`, or why it cannot be read; a machine that has none has not begun.
pub(crate) fn state(system: &System) -> Result<Value> {
    Ok(files::read(&system.state())?.map_or(Ok(Value::Null), |text| serde_json::from_str(&text))?)
}

/// First boot by its state, its unit and its journal.
pub(crate) fn first_boot(system: &System, state: &Value, patience: Duration) -> FirstBoot {
    let seconds = state["seconds"].as_object().into_iter().flatten();
    // The state of a copy is its original's until its own first boot has ended.
    let finished = state["finished"] == true && state["instance"] == instance_id(system);
    let unit = ask("systemctl", &["show", "--property=ActiveState", "--value", UNIT], patience);
    let unit = unit.map_or_else(|_| "unknown".to_owned(), |told| told.trim().to_owned());
    let lines = ["--unit", UNIT, "--lines", "100", "--output", "cat", "--no-pager"];
    let failure = if finished && unit != FAILED { None } else { ask("journalctl", &lines, patience).ok() };
    FirstBoot {
        finished,
        version: text(&state["version"]),
        seconds: seconds.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect(),
        unit,
        failure: failure
            .and_then(|told| told.lines().rev().find(|line| line.contains("FAILED")).map(str::to_owned)),
    }
}

/// Seconds of each step of the last boot; none where no boot has ended since the machine was switched on.
pub(crate) fn last_boot(system: &System) -> Option<BTreeMap<String, f64>> {
    serde_json::from_str(&files::read(&system.boot_times()).ok()??).ok()
}

/// The settings that were used; none where the state does not tell. Secrets are masked there, and once more here.
pub(crate) fn inputs(state: &Value) -> Option<BTreeMap<String, Used>> {
    let mut inputs: BTreeMap<String, Used> = serde_json::from_value(state.get("inputs")?.clone()).ok()?;
    for (_, used) in inputs.iter_mut().filter(|(name, used)| is_secret_name(name) && used.value.is_some()) {
        used.value = Some(MASK.to_owned());
    }
    Some(inputs)
}

/// What is wrong with the domain, in the words of who looked at it last. One that the operator insists on is theirs.
pub(crate) fn domain(system: &System) -> Option<String> {
    let (site, report) = (Site::read(system).ok()??, Report::read(system).ok()??);
    (site.domain? == report.domain && !site.proved).then(|| report.problems().join("; "))
}
