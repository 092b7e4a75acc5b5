//! The guest binary: one program that goes by several names.

use std::process::ExitCode;

use arguments::{Command, parse};
use echora_firstboot::{Interrupted, boot, climb, doctor, domain, ready, settings};

mod arguments;

fn main() -> ExitCode {
    let outcome = match parse() {
        Ok((system, Command::Boot)) => boot::boot(&system),
        Ok((system, Command::Configure)) => settings::configure(&system),
        Ok((system, Command::Climb)) => climb::climb(&system),
        Ok((system, Command::ShowDomain)) => domain::show(&system),
        Ok((system, Command::CheckDomain(name))) => domain::check(&system, name.as_ref()),
        Ok((system, Command::SetDomain { name, force })) => domain::set(&system, &name, force),
        Ok((system, Command::RemoveDomain)) => domain::remove(&system),
        Ok((system, Command::Doctor(options))) => match doctor::doctor(&system, &options) {
            Ok(false) => return ExitCode::from(5),
            outcome => outcome.map(drop),
        },
        Ok((_, Command::Ready)) => ready::ready(),
        Ok((_, Command::Print(text))) => {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("error: {error:#}\nhint: see echora-firstboot --help");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = outcome {
        eprintln!("error: {error:#}");
        return if error.is::<Interrupted>() { ExitCode::from(130) } else { ExitCode::FAILURE };
    }
    ExitCode::SUCCESS
}
