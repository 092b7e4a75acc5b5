//! `build` for several providers against the slowest of them alone: what the tool adds to waiting. The accounts are played,
//! the builder is a stand-in that waits as long as a build takes, a hundred times as fast. Vendors' plugins wait just so.
//!
//! `cargo bench --bench all` prints a table and adds its figures to `target/bench.json`.

#[path = "first_boot/figure.rs"]
mod figure;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use anyhow::Result;
use figure::Figure;
use support::fleet::{Fleet, Played};

const SPEED: f64 = 100.0;
/// Builds of a quarter of an hour, each some minutes longer than the one before.
const SECONDS: (usize, usize) = (900, 180);
const RUNS: usize = 3;
const GOAL: f64 = 1.15;

/// Wall-clock seconds of `build` for these accounts.
async fn measure(fleet: &Fleet, accounts: &[&Played]) -> f64 {
    let began = Instant::now();
    let output = fleet.build(accounts).output().await.expect("the tool starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    began.elapsed().as_secs_f64()
}

#[tokio::main]
async fn main() -> Result<()> {
    let fleet = Fleet::launch(SPEED).await;
    for (number, account) in fleet.accounts.iter().enumerate() {
        let seconds = SECONDS.0 + number * SECONDS.1;
        fleet.does(&account.id, &format!("sleep {}.{:02}\n", seconds / 100, seconds % 100));
    }
    let all: Vec<&Played> = fleet.accounts.iter().collect();
    let slowest = *all.last().expect("an API is described");
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        alone.push(measure(&fleet, &[slowest]).await);
        together.push(measure(&fleet, &all).await);
    }
    let alone = Figure::of("build: the slowest provider alone", &alone, "s");
    let together = Figure::of(&format!("build: {} providers side by side", all.len()), &together, "s");
    let together = together.against(alone.value, Some(GOAL));
    let figures = [alone, together];
    print!("\n{}", figure::table(&figures));
    figure::add(&figures, &support::root().join("target/bench.json"))
}
