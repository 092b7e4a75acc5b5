//! How long first boot takes, beside the least that it can take and beside the usual way. `make bench` runs it.

mod contestant;
mod figure;
mod guest;
mod machine;
mod round;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

/// Prints a table and writes `target/bench.json`. A goal that was missed is named; only what cannot be measured fails.
#[derive(Parser)]
struct Arguments {
    /// How often each contestant boots
    #[arg(long, default_value_t = 7)]
    rounds: usize,

    /// Measure from power-on to the login on virtual machines, too, so many times
    #[arg(long, value_name = "ROUNDS", default_value_t = 0)]
    vm: usize,

    /// A rehearsal's folder in place of one that is made, or found made, from this checkout
    #[arg(long, value_name = "DIR")]
    image: Option<PathBuf>,

    /// A guest binary in place of the snapshot's own, to see what a change does without a new snapshot
    #[arg(long, value_name = "FILE")]
    guest: Option<PathBuf>,

    /// What cargo tells every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let image = match &arguments.image {
        Some(folder) => Box::leak(Box::new(support::snapshot::read(folder))),
        None => support::snapshot::shared().await,
    };
    let field = contestant::Field { image, guest: arguments.guest };
    let mut figures = round::all(&field, arguments.rounds).await?;
    figures.extend(guest::all(&field).await?);
    if arguments.vm > 0 {
        figures.extend(machine::all(image, arguments.vm).await?);
    }
    print!("\n{}", figure::table(&figures));
    figure::add(&figures, &support::root().join("target/bench.json"))
}
