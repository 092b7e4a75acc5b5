//! The guest binary: one program that goes by several names.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use echora_firstboot::{System, boot, doctor, ready, settings};

/// What it can be told to do.
const WORDS: [&str; 4] = ["boot", "configure", "ready", DOCTOR];
const DOCTOR: &str = "doctor";
const HELP: &str = "\
echora-firstboot: sets up this server at its first boot

Usage: echora-firstboot [boot]     set up what is not set up yet; safe to run again
       echora-firstboot configure  keep the settings of a deployment script's environment for first boot
       echora-firstboot ready      exit 0 when the backend answers and reaches its database
       echora-firstboot doctor     how this server is and what to do; echora-doctor is the same. Exit 5: see to it
       echora-firstboot --version

Settings of boot, stronger than /etc/echora/config.toml and the provider's variables:
  --set NAME=VALUE      domain, email, admin_username, admin_email, server_name or registration
  --password-file FILE  the owner's password; - reads it from stdin

Options of doctor:
  --json                the same for machines
  --bundle FILE         also write a support bundle, without secrets
  --timeout SECONDS     how long each question may take (5)

Examples:
  systemctl start echora-firstboot    run it as the system does
  journalctl -u echora-firstboot      what it did (never the password)
  cat /root/echora-credentials        the login
";

fn main() -> ExitCode {
    let outcome = match command() {
        Ok(Command::Boot(system)) => boot::boot(&system),
        Ok(Command::Configure(system)) => settings::configure(&system),
        Ok(Command::Ready) => ready::ready(),
        Ok(Command::Doctor(system, options)) => match doctor::doctor(&system, &options) {
            Ok(false) => return ExitCode::from(5),
            outcome => outcome.map(drop),
        },
        Ok(Command::Print(text)) => {
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
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

enum Command {
    Boot(System),
    Configure(System),
    Ready,
    Doctor(System, doctor::Options),
    Print(String),
}

fn command() -> anyhow::Result<Command> {
    use lexopt::prelude::{Long, Short, Value, ValueExt};
    let mut system = System::default();
    let mut asked = doctor::Options::default();
    let mut arguments = lexopt::Parser::from_env();
    let own_name = arguments.bin_name().and_then(|name| name.rsplit('/').next()?.strip_prefix("echora-"));
    let mut word = if own_name == Some(DOCTOR) { DOCTOR } else { "boot" };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("version") | Short('V') => {
                return Ok(Command::Print(format!("echora-firstboot {}", env!("CARGO_PKG_VERSION"))));
            }
            Long("help") | Short('h') => return Ok(Command::Print(HELP.to_owned())),
            Long("set") => system.settings.assign(&arguments.value()?.string()?)?,
            Long("password-file") => system.settings.read_password(&arguments.value()?.string()?)?,
            // For tests: another root folder, another address for the metadata service and the backend, shorter waits.
            Long("root") => system.root = arguments.value()?.into(),
            Long("metadata") => system.metadata = Some(arguments.value()?.string()?),
            Long("backend") => system.backend = arguments.value()?.string()?,
            Long("longest") => system.longest = Some(Duration::from_millis(arguments.value()?.parse()?)),
            Long("json") if word == DOCTOR => asked.json = true,
            Long("bundle") if word == DOCTOR => asked.bundle = Some(arguments.value()?.into()),
            Long("timeout") if word == DOCTOR => {
                asked.patience = Duration::from_secs(arguments.value()?.parse::<u32>()?.clamp(1, 600).into());
            }
            Value(given) => match WORDS.iter().find(|known| given == **known) {
                Some(known) => word = known,
                None => bail!("unknown command {}", given.display()),
            },
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(match word {
        DOCTOR => Command::Doctor(system, asked),
        "configure" => Command::Configure(system),
        "ready" => Command::Ready,
        _ => Command::Boot(system),
    })
}
