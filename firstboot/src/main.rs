//! The guest binary: one program that goes by several names.

use std::ffi::OsString;
use std::process::ExitCode;

use echora_firstboot::{System, boot, ready};

const HELP: &str = "\
echora-firstboot: sets up this server at its first boot

Usage: echora-firstboot [boot]    set up what is not set up yet; safe to run again
       echora-firstboot ready     exit 0 when the backend answers and reaches its database
       echora-firstboot --version

Examples:
  systemctl start echora-firstboot    run it as the system does
  journalctl -u echora-firstboot      what it did (never the password)
  cat /root/echora-credentials        the login
";

fn main() -> ExitCode {
    let outcome = match command() {
        Ok(Command::Boot(system)) => boot::boot(&system),
        Ok(Command::Ready) => ready::ready(),
        Ok(Command::Print(text)) => {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("error: {error}\nhint: see echora-firstboot --help");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = outcome {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

enum Command {
    Boot(System),
    Ready,
    Print(String),
}

fn command() -> Result<Command, lexopt::Error> {
    use lexopt::prelude::{Long, Short, Value, ValueExt};
    let mut system = System::default();
    let mut ready = false;
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("version") | Short('V') => {
                return Ok(Command::Print(format!("echora-firstboot {}", env!("CARGO_PKG_VERSION"))));
            }
            Long("help") | Short('h') => return Ok(Command::Print(HELP.to_owned())),
            // For tests: another root folder, another address for the metadata service and the backend.
            Long("root") => system.root = arguments.value()?.into(),
            Long("metadata") => system.metadata = Some(arguments.value()?.string()?),
            Long("backend") => system.backend = arguments.value()?.string()?,
            Value(word) => match word.to_str() {
                Some("boot") => ready = false,
                Some("ready") => ready = true,
                _ => return Err(unknown(&word)),
            },
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(if ready { Command::Ready } else { Command::Boot(system) })
}

fn unknown(word: &OsString) -> lexopt::Error {
    lexopt::Error::Custom(format!("unknown command {}", word.display()).into())
}
