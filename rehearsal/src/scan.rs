//! A machine's ports as another host in its network sees them, by nmap: packets, not a list of rules.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::network::Network;
use crate::process::run;

const DEADLINE: Duration = Duration::from_secs(300);
/// What nmap says of a port from which nothing came back. For UDP that is also what a silent service looks like.
pub const DROPPED: [&str; 2] = ["filtered", "open|filtered"];

/// States of the ports that do not drop every packet without a word, as nmap calls them.
pub type Ports = BTreeMap<u16, String>;

/// All TCP ports.
pub async fn tcp(network: &Network, address: IpAddr) -> Result<Ports> {
    scan(network, address, &["-sS", "-p-", "--min-rate=12000", "--max-retries=1"]).await
}

/// Some UDP ports. One that is let through to nobody answers with an ICMP message: `closed`.
pub async fn udp(network: &Network, address: IpAddr, ports: &[u16]) -> Result<Ports> {
    let list: Vec<String> = ports.iter().map(u16::to_string).collect();
    scan(network, address, &["-sU", "--max-retries=3", &format!("-p{}", list.join(","))]).await
}

async fn scan(network: &Network, address: IpAddr, how: &[&str]) -> Result<Ports> {
    let mut command = network.command(Path::new("nmap"));
    // Its own list of services would only be in the way, and nobody there knows a name.
    command.args(["-n", "-Pn", "-T5", "--host-timeout=280s", "-oG", "-"]).args(how);
    if address.is_ipv6() {
        command.arg("-6");
    }
    let text = run(command.arg(address.to_string()), "nmap", DEADLINE).await?;
    parse(&text).with_context(|| format!("nmap says nothing of {address}: {text}"))
}

/// The ports of nmap's "greppable" output; what it leaves out as too many of a kind stands under port 0.
fn parse(text: &str) -> Option<Ports> {
    let line = text.lines().find(|line| line.starts_with("Host:") && !line.contains("Status:"))?;
    let mut ports = Ports::new();
    for field in line.split('\t') {
        if let Some(list) = field.strip_prefix("Ports: ") {
            for entry in list.split(", ") {
                let (port, rest) = entry.split_once('/')?;
                let (port, state) = (port.trim().parse().ok()?, rest.split('/').next()?);
                ports.insert(port, state.to_owned());
            }
        }
        if let Some(rest) = field.strip_prefix("Ignored State: ") {
            ports.insert(0, rest.split(' ').next()?.to_owned());
        }
    }
    ports.retain(|_, state| !DROPPED.contains(&state.as_str()));
    Some(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_is_told_from_what_is_dropped() {
        let text = "# Nmap\nHost: 203.0.113.7 ()\tStatus: Up\nHost: 203.0.113.7 ()\tPorts: 22/open/tcp//ssh///, \
                    53/filtered/tcp//domain///, 10000/closed/udp//x///\tIgnored State: filtered (65532)\n# done\n";
        let ports = parse(text).unwrap();
        assert_eq!(ports.into_iter().collect::<Vec<_>>(), [(22, "open".into()), (10000, "closed".into())]);
        let refused = "Host: 203.0.113.7 ()\tPorts: 22/open/tcp//ssh///\tIgnored State: closed (65534)\n";
        assert_eq!(
            parse(refused).unwrap()[&0],
            "closed",
            "a machine that refuses what it should drop is noticed"
        );
        assert_eq!(parse("# Nmap done: 1 IP address (0 hosts up)"), None);
    }
}
