//! The command line, and the names that the binary goes by: `echora-domain` is `echora-firstboot domain`.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use echora_firstboot::System;
use echora_firstboot::doctor;
use echora_firstboot::domain::Name;
use lexopt::Parser;
use lexopt::prelude::{Long, Short, Value, ValueExt};

const HELP: &str = "\
echora-firstboot: sets up this server at its first boot

Usage: echora-firstboot [boot]     set up what is not set up yet; safe to run again
       echora-firstboot configure  keep the settings of a deployment script's environment for first boot
       echora-firstboot ready      exit 0 when the backend answers and reaches its database
       echora-firstboot climb      take the domain if it leads here by now
       echora-domain [NAME]        show the domain, or change it: whole, or everything stays as it was
         --check [NAME]            only look whether the domain leads to this server
         --force NAME              change it without that proof
         --remove                  do without a domain: the server is at its address again
       echora-doctor               how this server is and what to do; exit 5: see to it
         --json                    the same for machines
         --bundle FILE             also write a support bundle, without secrets
         --timeout SECONDS         how long each question may take (5)
       echora-firstboot --version

Settings of boot, stronger than /etc/echora/config.toml and the provider's variables:
  --set NAME=VALUE      domain, email, admin_username, admin_email, server_name or registration
  --password-file FILE  the owner's password; - reads it from stdin

Examples:
  systemctl start echora-firstboot    run it as the system does
  journalctl -u echora-firstboot      what it did (never the password)
  cat /root/echora-credentials        the login
  echora-domain chat.example.org      give this server a domain
  echora-doctor --bundle support.tar  look at everything, and collect it for whoever helps
";

/// What is to be done.
pub(crate) enum Command {
    Boot,
    Configure,
    Climb,
    Ready,
    Doctor(doctor::Options),
    ShowDomain,
    CheckDomain(Option<Name>),
    SetDomain { name: Name, force: bool },
    RemoveDomain,
    Print(String),
}

/// Reads the command line.
pub(crate) fn parse() -> Result<(System, Command)> {
    let mut system = System::default();
    let mut arguments = Parser::from_env();
    let mut words: Vec<OsString> = called_as(&arguments).into_iter().collect();
    // What is wanted of a domain but to show or to change it.
    let mut otherwise = Vec::new();
    let mut asked = doctor::Options::default();
    // The command that an option belongs to.
    let mut belongs = None;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("version") | Short('V') => {
                let text = format!("echora-firstboot {}", env!("CARGO_PKG_VERSION"));
                return Ok((system, Command::Print(text)));
            }
            Long("help") | Short('h') => return Ok((system, Command::Print(HELP.to_owned()))),
            Long("set") => system.settings.assign(&arguments.value()?.string()?)?,
            Long("password-file") => system.settings.read_password(&arguments.value()?.string()?)?,
            // For tests: another root folder, another address for the metadata service and the backend, shorter waits.
            Long("root") => system.root = arguments.value()?.into(),
            Long("metadata") => system.metadata = Some(arguments.value()?.string()?),
            Long("backend") => system.backend = arguments.value()?.string()?,
            Long("longest") => system.longest = Some(Duration::from_millis(arguments.value()?.parse()?)),
            Long(option @ ("check" | "force" | "remove")) => {
                otherwise.push(option.to_owned());
                belongs = Some("domain");
            }
            Long("json") => (asked.json, belongs) = (true, Some("doctor")),
            Long("bundle") => (asked.bundle, belongs) = (Some(arguments.value()?.into()), Some("doctor")),
            Long("timeout") => {
                let seconds = arguments.value()?.parse::<u32>()?.clamp(1, 600);
                (asked.patience, belongs) = (Duration::from_secs(seconds.into()), Some("doctor"));
            }
            Value(word) => words.push(word),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap_or("?")).collect();
    if let Some(command) = belongs
        && words.first() != Some(&command)
    {
        bail!("that option belongs to echora-{command}");
    }
    let otherwise: Vec<&str> = otherwise.iter().map(String::as_str).collect();
    let command = match (words.as_slice(), otherwise.as_slice()) {
        ([] | ["boot"], _) => Command::Boot,
        (["configure"], _) => Command::Configure,
        (["climb"], _) => Command::Climb,
        (["ready"], _) => Command::Ready,
        (["doctor"], _) => Command::Doctor(asked),
        (["domain"], []) => Command::ShowDomain,
        (["domain"], ["check"]) => Command::CheckDomain(None),
        (["domain"], ["remove"]) => Command::RemoveDomain,
        (["domain", name], ["check"]) => Command::CheckDomain(Some(name_of(name)?)),
        (["domain", name], []) => Command::SetDomain { name: name_of(name)?, force: false },
        (["domain", name], ["force"]) => Command::SetDomain { name: name_of(name)?, force: true },
        (["domain", ..], _) => bail!("echora-domain takes a NAME, or --remove, and --check or --force"),
        _ => bail!("unknown command {}", words.join(" ")),
    };
    Ok((system, command))
}

/// The command that the program's own name stands for.
fn called_as(arguments: &Parser) -> Option<OsString> {
    let name = Path::new(arguments.bin_name()?).file_name()?.to_str()?;
    name.strip_prefix("echora-").filter(|command| *command != "firstboot").map(OsString::from)
}

fn name_of(text: &str) -> Result<Name> {
    Name::parse(text).map_err(|why| anyhow!("{text}: {why}"))
}
