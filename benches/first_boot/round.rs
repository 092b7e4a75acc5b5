//! Rounds in cells: each contestant once, on a disk of its own, then all again.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use echora_rehearsal::process::run;
use serde_json::Value;

use crate::contestant::{BARE, Contestant, Field, OURS, USUAL};
use crate::figure::Figure;
use crate::support::cell::{BOOT, Rented};

/// What first boot may take of what Compose alone takes.
pub(crate) const GOAL: f64 = 1.10;
/// The steps of first boot, as its state names them.
const STEPS: [&str; 8] = ["state", "fence", "metadata", "secrets", "stack", "owner", "open", "print"];

/// Seconds of a boot, and of its steps where it has some.
struct Took {
    seconds: f64,
    steps: BTreeMap<String, f64>,
}

/// Times all contestants, one after another in each of `rounds` rounds.
pub(crate) async fn all(field: &Field, rounds: usize) -> Result<Vec<Figure>> {
    ensure!(rounds > 0, "a figure takes at least one round");
    let contestants = [BARE, OURS, USUAL];
    let mut seconds = contestants.each_ref().map(|_| Vec::new());
    let mut steps: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for round in 0..rounds {
        // Nobody always comes first, or after the same one.
        for index in (0..contestants.len()).map(|place| (round + place) % contestants.len()) {
            let contestant = &contestants[index];
            let took = boot(field, contestant).await.with_context(|| contestant.name)?;
            eprintln!("round {}: {:6.3} s  {}", round + 1, took.seconds, contestant.name);
            seconds[index].push(took.seconds);
            for (step, seconds) in took.steps {
                steps.entry(step).or_default().push(seconds);
            }
        }
    }
    let [bare, ours, usual] = seconds;
    let bare = Figure::of(BARE.name, &bare, "s");
    let limit = bare.value;
    let mut figures = vec![
        bare.against(limit, None),
        Figure::of(OURS.name, &ours, "s").against(limit, Some(GOAL)),
        Figure::of(USUAL.name, &usual, "s").against(limit, None),
    ];
    for step in STEPS {
        let seconds = steps.get(step).with_context(|| format!("first boot took no time for step {step}"))?;
        figures.push(Figure::of(&format!("its step {step}"), seconds, "s"));
    }
    Ok(figures)
}

/// A cell with a contestant in it, at rest: Docker is up and nothing of the stack has begun.
pub(crate) async fn at_rest(field: &Field, contestant: &Contestant) -> Result<Rented> {
    let mut rented = Rented::of(field.image).await;
    contestant.install(&rented.cell, field.guest.as_deref())?;
    rented.start().await;
    rented.cell.settled(BOOT).await?;
    // What making the disk has left to be written would be written while the time runs.
    let prepare = format!("{}\ndocker info >/dev/null\nsync\ntouch /run/go\n", contestant.prepare()?);
    rented.cell.inside(&prepare).await?;
    Ok(rented)
}

async fn boot(field: &Field, contestant: &Contestant) -> Result<Took> {
    let rented = at_rest(field, contestant).await?;
    let start = run(&mut rented.cell.shell("systemctl start echora-firstboot")?, "the boot", BOOT).await;
    start.with_context(|| rented.cell.console())?;
    let seconds = seconds_of_unit(&rented).await?;
    let works = "curl -fsSk --max-time 10 --connect-to ::localhost: https://203.0.113.7/api/health";
    rented.cell.inside(works).await.context("the stack does not answer")?;
    if contestant.prints {
        ensure!(rented.cell.console().contains("Password: "), "there is no login on the console");
    }
    Ok(Took { seconds, steps: steps(&rented).await? })
}

/// From the start of the unit's program to its end, on the monotonic clock.
async fn seconds_of_unit(rented: &Rented) -> Result<f64> {
    let script = "systemctl show --value -p ExecMainStartTimestampMonotonic -p ExecMainExitTimestampMonotonic echora-firstboot";
    let text = rented.cell.inside(script).await?;
    let times: Vec<u64> = text.split_whitespace().filter_map(|time| time.parse().ok()).collect();
    let [start, end] = times[..] else { anyhow::bail!("systemd tells no times: {text}") };
    ensure!(end > start, "the unit has not run: {text}");
    Ok(Duration::from_micros(end - start).as_secs_f64())
}

async fn steps(rented: &Rented) -> Result<BTreeMap<String, f64>> {
    let text = rented.cell.inside("cat /var/lib/echora/state.json 2>/dev/null || echo '{}'").await?;
    let state: Value = serde_json::from_str(&text).context("the state is no JSON")?;
    let seconds = state["seconds"].as_object().into_iter().flatten();
    Ok(seconds.filter_map(|(step, seconds)| Some((step.clone(), seconds.as_f64()?))).collect())
}
