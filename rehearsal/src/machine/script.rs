//! A provider's deployment script: it lies on the disk and is run as root at first boot, with the form in its environment.
//!
//! When it runs is the provider's affair and told nowhere. Here a unit runs it that waits for nothing but the network, so
//! that it meets the image's own units in the middle of their start.

use anyhow::{Result, ensure};

use super::laid::Laid;
use crate::api::Script;

const UNIT: &str = "/etc/systemd/system/deployment-script.service";
const WANTED: &str = "/etc/systemd/system/multi-user.target.wants/deployment-script.service";
const ENVIRONMENT: &str = "/root/.deployment-environment";

/// Lays a script onto a machine's disk.
pub(super) fn lay(laid: &mut Laid, script: &Script) -> Result<()> {
    let environment: Result<String> =
        script.variables.iter().map(|(name, value)| line(name, value)).collect();
    laid.file(&script.file, 0o700, &script.text);
    laid.file(ENVIRONMENT, 0o600, environment?);
    laid.file(UNIT, 0o644, unit(&script.file));
    laid.link(WANTED, UNIT);
    Ok(())
}

/// What the script prints is on the console, where a buyer sees it.
fn unit(file: &str) -> String {
    format!(
        "[Unit]\nDescription=Run the provider's deployment script\nAfter=network-online.target\nWants=network-online.target\n\
         ConditionPathExists={ENVIRONMENT}\n\n[Service]\nType=oneshot\nEnvironmentFile={ENVIRONMENT}\nExecStart={file}\n\
         ExecStopPost=/bin/rm -f {ENVIRONMENT}\nStandardOutput=journal+console\nStandardError=journal+console\n\n\
         [Install]\nWantedBy=multi-user.target\n"
    )
}

/// A line of systemd's environment files: <https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html>
fn line(name: &str, value: &str) -> Result<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    ensure!(!name.is_empty() && name.bytes().all(plain), "{name:?} is no name of a variable");
    ensure!(!value.contains(['\n', '\0']), "the value of {name} has more than one line");
    let escaped: String = value
        .chars()
        .flat_map(|c| ['"', '\\', '$', '`'].contains(&c).then_some('\\').into_iter().chain([c]))
        .collect();
    Ok(format!("{name}=\"{escaped}\"\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_letters_and_names_are_names() {
        assert_eq!(line("A_1", "a \"b\" $c `d` \\").unwrap(), "A_1=\"a \\\"b\\\" \\$c \\`d\\` \\\\\"\n");
        assert!(line("a b", "").is_err() && line("", "").is_err() && line("A", "b\nc").is_err());
    }
}
