//! What listens here, and what the firewall of this machine lets in. More cannot be told from inside: a firewall of the
//! provider's in front is not seen.

use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::ask;

/// The ports that the stack is reached by, as `ufw` writes them.
const OURS: [&str; 5] = ["22/tcp", "80/tcp", "443/tcp", "443/udp", "10000:59999/udp"];

/// The machine's own firewall.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Firewall {
    pub(crate) active: bool,
    /// Port or range with its protocol, and `allow`, `limit`, `deny` or `reject`.
    pub(crate) rules: Vec<(String, String)>,
}

/// A port that is ours, or that somebody else may reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Port {
    /// `22/tcp`, or a range.
    pub(crate) number: String,
    /// What listens; nothing when nothing does.
    pub(crate) program: Option<String>,
    /// What the firewall does: `allow`, `limit`, `deny`, `reject`, or `off`.
    pub(crate) firewall: String,
    pub(crate) ours: bool,
}

/// Asks `ufw`.
pub(crate) fn firewall(patience: Duration) -> Result<Firewall> {
    Ok(parse_firewall(&ask("ufw", &["status"], patience)?))
}

/// Asks `ss`, and tells it with what the firewall does.
pub(crate) fn ports(firewall: &Firewall, patience: Duration) -> Result<Vec<Port>> {
    Ok(judge(&parse_listeners(&ask("ss", &["-Hltunp"], patience)?), firewall))
}

fn parse_firewall(told: &str) -> Firewall {
    let rule = |line: &str| {
        // `443/tcp (v6)  ALLOW  Anywhere (v6)`: the same rule once more. Of rules for some addresses only, none.
        let fields: Vec<&str> =
            line.split_whitespace().filter(|word| *word != "(v6)" && *word != "IN").collect();
        let [port, action, "Anywhere", ..] = fields[..] else { return None };
        port.starts_with(|c: char| c.is_ascii_digit()).then(|| (port.to_owned(), action.to_ascii_lowercase()))
    };
    let mut rules: Vec<(String, String)> = told.lines().filter_map(rule).collect();
    rules.dedup();
    let active = told.lines().any(|line| line.trim() == "Status: active");
    Firewall { active, rules }
}

/// Port with protocol and program, of all that is not on loopback.
fn parse_listeners(told: &str) -> Vec<(String, String)> {
    let listener = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = fields.get(4)?.rsplit_once(':')?;
        let host = address.trim_matches(['[', ']']).split('%').next()?.trim_start_matches("::ffff:");
        if host.starts_with("127.") || host == "::1" {
            return None;
        }
        let program = fields.get(6).and_then(|users| users.split('"').nth(1)).unwrap_or("?");
        Some((format!("{port}/{}", fields[0]), program.to_owned()))
    };
    told.lines().filter_map(listener).collect()
}

fn judge(listeners: &[(String, String)], firewall: &Firewall) -> Vec<Port> {
    let of = |port: &str, ours| {
        let listener = listeners.iter().find(|(one, _)| one == port);
        Port {
            number: port.to_owned(),
            program: listener.map(|(_, program)| program.clone()),
            firewall: verdict(port, firewall),
            ours,
        }
    };
    let mut ports: Vec<Port> = OURS.iter().map(|port| of(port, true)).collect();
    for (port, _) in listeners {
        if !ports.iter().any(|known| known.number == *port || (known.ours && covers(&known.number, port))) {
            ports.push(of(port, false));
        }
    }
    // What nobody can reach is nobody's concern.
    ports.retain(|port| port.ours || !matches!(port.firewall.as_str(), "deny" | "reject"));
    ports
}

/// The first rule that fits decides; what fits none is denied.
fn verdict(port: &str, firewall: &Firewall) -> String {
    if !firewall.active {
        return "off".to_owned();
    }
    let rule = firewall.rules.iter().find(|(rule, _)| covers(rule, port));
    rule.map_or("deny", |(_, action)| action).to_owned()
}

/// Whether `80`, `80/tcp`, `80,443/tcp` or `10000:59999/udp` holds the port, which may be a range itself.
fn covers(rule: &str, port: &str) -> bool {
    let parts = |text: &str| {
        let (numbers, protocol) = text.split_once('/').unwrap_or((text, ""));
        (numbers.to_owned(), protocol.to_owned())
    };
    let ((numbers, protocol), (wanted, wanted_protocol)) = (parts(rule), parts(port));
    let range = |text: &str| {
        let (from, to) = text.split_once(':').unwrap_or((text, text));
        Some((from.parse::<u16>().ok()?, to.parse::<u16>().ok()?))
    };
    let holds = |numbers: &str| match (range(numbers), range(&wanted)) {
        (Some((from, to)), Some((first, last))) => from <= first && last <= to,
        _ => false,
    };
    (protocol.is_empty() || protocol == wanted_protocol) && numbers.split(',').any(holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UFW: &str = "Status: active\n\nTo                         Action      From\n--                         ------      ----\n\
        22/tcp                     LIMIT       Anywhere\n80,443/tcp                 ALLOW       Anywhere\n\
        9000                       ALLOW       10.0.0.0/8\n10000:59999/udp            ALLOW       Anywhere\n\
        22/tcp (v6)                LIMIT       Anywhere (v6)\n";
    const SS: &str = "udp UNCONN 0 0 127.0.0.54:53 0.0.0.0:* users:((\"systemd-resolve\",pid=1,fd=1))\n\
        udp UNCONN 0 0 *:20001 *:* users:((\"echora\",pid=1,fd=1))\n\
        tcp LISTEN 0 4096 0.0.0.0:22 0.0.0.0:* users:((\"sshd\",pid=1,fd=3))\n\
        tcp LISTEN 0 4096 [::]:22 [::]:* users:((\"sshd\",pid=1,fd=4))\n\
        tcp LISTEN 0 4096 *:443 *:* users:((\"caddy\",pid=1,fd=4))\n\
        tcp LISTEN 0 4096 0.0.0.0:5432 0.0.0.0:*\ntcp LISTEN 0 4096 [::1]:3000 [::]:*\n";

    fn port(port: &str, program: Option<&str>, firewall: &str, ours: bool) -> Port {
        Port { number: port.into(), program: program.map(str::to_owned), firewall: firewall.into(), ours }
    }

    #[test]
    fn what_listens_is_told_with_what_the_firewall_does() {
        let firewall = parse_firewall(UFW);
        let expected = [
            port("22/tcp", Some("sshd"), "limit", true),
            port("80/tcp", None, "allow", true),
            port("443/tcp", Some("caddy"), "allow", true),
            port("443/udp", None, "deny", true),
            port("10000:59999/udp", None, "allow", true),
        ];
        assert_eq!(judge(&parse_listeners(SS), &firewall), expected, "5432 is behind the firewall");
    }

    #[test]
    fn without_a_firewall_everything_is_open() {
        let firewall = parse_firewall("Status: inactive\n");
        let ports = judge(&parse_listeners(SS), &firewall);
        assert!(ports.contains(&port("5432/tcp", Some("?"), "off", false)), "{ports:?}");
        assert!(!ports.iter().any(|port| port.number == "3000/tcp"), "{ports:?}");
    }
}
