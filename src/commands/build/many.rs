//! Builds for several providers side by side: nearly all of a build is waiting for its provider.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use provider_profiles::Entry;
use serde_json::json;
use tokio::task::JoinSet;

use super::Build;
use crate::error::{Exit, Fault, explain};
use crate::interrupt::Interrupt;
use crate::project::Project;
use crate::record::{Record, Snapshot};
use crate::render::columns;
use crate::ui::Ui;

/// How one of the builds ended.
struct Ended {
    provider: String,
    seconds: f64,
    outcome: Result<(Record, PathBuf)>,
}

/// Builds for all of `entries`; one that fails leaves the others alone. Rehearsals take turns: their machines are here.
pub(super) async fn run(
    build: &Build,
    entries: &[&Entry],
    project: &Project,
    ui: &Ui,
    interrupt: &Interrupt,
) -> Result<()> {
    let mut ended = Vec::new();
    let mut running = JoinSet::new();
    for entry in entries {
        let (build, entry) = (build.about(entry, true), (*entry).clone());
        let (project, interrupt) = (project.clone(), interrupt.clone());
        let ui = ui.beside(&entry.profile.id, super::account::STEPS);
        let alone = build.rehearse.is_some();
        running.spawn(async move {
            let began = Instant::now();
            let done = build.one(&entry, &project, ui, &interrupt).await;
            let outcome = done.map(|(record, folder, _)| (record, folder));
            Ended { provider: entry.profile.id.clone(), seconds: began.elapsed().as_secs_f64(), outcome }
        });
        if alone && let Some(one) = running.join_next().await {
            ended.push(one.context("a build was lost")?);
        }
    }
    while let Some(one) = running.join_next().await {
        ended.push(one.context("a build was lost")?);
    }
    ended.sort_by(|one, two| one.provider.cmp(&two.provider));
    tell(ui, &ended);
    verdict(&ended)
}

/// Why builds failed, then a row for each build.
fn tell(ui: &Ui, ended: &[Ended]) {
    let mut rows = vec![["PROVIDER", "SNAPSHOT", "SECONDS", "COST", "RECORD"].map(str::to_owned)];
    let mut list = Vec::new();
    for one in ended {
        let row = match &one.outcome {
            Ok((record, folder)) => {
                let snapshot = match &record.snapshot {
                    Snapshot::Account { id } => id.clone(),
                    Snapshot::Disk { file, .. } => file.clone(),
                };
                let cost = record.cost.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
                [snapshot, cost, folder.join("record.json").display().to_string()]
            }
            Err(error) => {
                ui.say(&format!("{}: {}", one.provider, explain(error).0));
                ["failed".to_owned(), "-".to_owned(), "-".to_owned()]
            }
        };
        let [snapshot, cost, record] = row;
        list.push(json!({"provider": one.provider, "failed": one.outcome.is_err(), "snapshot": snapshot, "seconds": one.seconds, "cost": cost, "record": record}));
        rows.push([one.provider.clone(), snapshot, format!("{:.1}", one.seconds), cost, record]);
    }
    ui.result(&columns(&rows), &json!({"event": "result", "builds": list}));
}

/// The failures as one: with their status where all have the same, and 130 when somebody asked to end.
fn verdict(ended: &[Ended]) -> Result<()> {
    let exits: Vec<Exit> =
        ended.iter().filter_map(|one| one.outcome.as_ref().err()).map(|error| explain(error).1).collect();
    let Some(first) = exits.first() else { return Ok(()) };
    let exit = match exits.contains(&Exit::Interrupted) {
        true => Exit::Interrupted,
        false if exits.iter().all(|exit| exit == first) => *first,
        false => Exit::Failed,
    };
    let what = format!("{} of {} builds failed", exits.len(), ended.len());
    Err(Fault::new(exit, what, "what each lacks is told above; the others are done").into())
}
