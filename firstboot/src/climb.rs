//! `echora-firstboot climb`: takes the domain as soon as it leads here. One try; its unit repeats it with growing pauses.

use anyhow::{Result, bail};

use crate::boot;
use crate::change;
use crate::console::Console;
use crate::reach::Report;
use crate::site::Site;
use crate::state::{State, instance_id};
use crate::system::System;
use crate::turn::Turn;

/// Proves the domain and takes it. Fails when it does not lead here yet, and does nothing where there is nothing to do.
pub fn climb(system: &System) -> Result<()> {
    let _turn = Turn::take(system)?;
    if change::undo_what_was_cut_off(system)? {
        println!("undid a change that was cut off");
    }
    let Some(state) = State::read(system)?.filter(|state| state.is_finished_for(&instance_id(system))) else {
        return Ok(());
    };
    let Some(site) = Site::of_state(system, &state)? else { return Ok(()) };
    let Some(domain) = site.domain.clone().filter(|_| !site.proved) else { return Ok(()) };
    let report = Report::make(system, &domain, &site)?;
    report.write(system)?;
    if !report.proved {
        bail!("{domain} does not lead to this server yet:\n{}", report.problems().join("\n"));
    }
    let site = Site { proved: true, ..site };
    change::make(system, &site)?;
    let console = Console::new(system, &boot::plan(system)?.consoles);
    console.say(&format!("{domain} leads here now: this server is at {}", site.url()));
    Ok(())
}
