//! Questions to the machine's name servers, over UDP: the system's resolver would answer from /etc/hosts first, where
//! cloud-init writes a machine's own name as 127.0.1.1
//! (<https://cloudinit.readthedocs.io/en/latest/reference/modules.html#update-etc-hosts>).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::files;
use crate::system::System;

/// Where name servers are listed; the first file is there with systemd-resolved, whose stub knows /etc/hosts too.
const PLACES: [&str; 2] = ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"];
const PORT: u16 = 53;
/// For one question to one server.
const REPLY: Duration = Duration::from_secs(2);
const ROUNDS: usize = 2;
/// As many as the system's resolver asks.
const SERVERS: usize = 3;

/// Kinds of records, with their numbers on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record {
    A = 1,
    Aaaa = 28,
}

/// The name servers of this machine.
#[derive(Debug)]
pub(crate) struct Resolver {
    servers: Vec<SocketAddr>,
}

impl Resolver {
    pub(crate) fn of(system: &System) -> Result<Self> {
        for place in PLACES {
            let text = files::read(&system.path(place))?.unwrap_or_default();
            let addresses =
                text.lines().filter_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok());
            let servers: Vec<_> =
                addresses.map(|ip: IpAddr| SocketAddr::new(ip, PORT)).take(SERVERS).collect();
            if !servers.is_empty() {
                return Ok(Self { servers });
            }
        }
        bail!("this server has no name server: /etc/resolv.conf names none")
    }

    /// The addresses of `name`; none when there is no such record. An error means that nobody knows.
    pub(crate) fn ask(&self, name: &str, record: Record) -> Result<Vec<IpAddr>> {
        let mut trouble = anyhow!("no name server");
        for server in self.servers.iter().cycle().take(self.servers.len() * ROUNDS) {
            match ask(*server, name, record) {
                Ok(addresses) => return Ok(addresses),
                Err(error) => trouble = error.context(format!("name server {}", server.ip())),
            }
        }
        Err(trouble)
    }
}

fn ask(server: SocketAddr, name: &str, record: Record) -> Result<Vec<IpAddr>> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).context("cannot make a socket")?;
    // From here on only this server's packets come in.
    socket.connect(server).context("it cannot be reached")?;
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(|error| anyhow!("the kernel gives no random numbers: {error}"))?;
    socket.send(&question(id, name, record)).context("it cannot be reached")?;
    let end = Instant::now() + REPLY;
    let mut packet = [0; 4096];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        ensure!(!left.is_zero(), "it does not answer");
        socket.set_read_timeout(Some(left)).context("cannot set a deadline")?;
        let length = match socket.recv(&mut packet) {
            Ok(length) => length,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(e) => return Err(e).context("it does not answer"),
        };
        // An answer to something else, such as a forged one.
        if packet[..length].starts_with(&id) {
            return answer(&packet[..length], record).context("its answer is damaged")?;
        }
    }
}

fn question(id: [u8; 2], name: &str, record: Record) -> Vec<u8> {
    // Recursion desired, one question.
    let mut packet = [&id[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        // A label has at most 63 bytes: the name has been checked.
        packet.push(u8::try_from(label.len()).unwrap_or_default());
        packet.extend(label.bytes());
    }
    packet.extend([0, 0, record as u8, 0, 1]);
    packet
}

/// The addresses in an answer, whatever aliases lead to them. Nothing when the packet is damaged.
fn answer(packet: &[u8], record: Record) -> Option<Result<Vec<IpAddr>>> {
    match packet.get(3)? & 15 {
        // 3: there is no such name.
        0 | 3 => {}
        code => return Some(Err(anyhow!("it refuses to answer (code {code})"))),
    }
    let number = |at: usize| Some(usize::from(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?)));
    let mut at = 12;
    for _ in 0..number(4)? {
        at = after_name(packet, at)? + 4;
    }
    let mut addresses = Vec::new();
    for _ in 0..number(6)? {
        at = after_name(packet, at)?;
        let (kind, length) = (number(at)?, number(at + 8)?);
        let data = packet.get(at + 10..at + 10 + length)?;
        if kind == record as usize {
            addresses.push(match record {
                Record::A => IpAddr::from(<[u8; 4]>::try_from(data).ok()?),
                Record::Aaaa => IpAddr::from(<[u8; 16]>::try_from(data).ok()?),
            });
        }
        at += 10 + length;
    }
    Some(Ok(addresses))
}

/// Where the name at `at` ends; a pointer is its last part.
fn after_name(packet: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*packet.get(at)?) {
            0 => return Some(at + 1),
            pointer if pointer & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += 1 + length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer by hand: the question, an alias, and an address behind it.
    fn packet(code: u8) -> Vec<u8> {
        let mut packet = question([7, 7], "chat.example.org", Record::A);
        packet[3] = 0x80 | code;
        packet[7] = 2;
        packet.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, b'a', 0xc0, 17]);
        packet.extend([1, b'a', 0xc0, 17, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 7]);
        packet
    }

    #[test]
    fn an_address_behind_an_alias_is_found() {
        let addresses = answer(&packet(0), Record::A).unwrap().unwrap();
        assert_eq!(addresses, ["203.0.113.7".parse::<IpAddr>().unwrap()]);
        assert_eq!(answer(&packet(0), Record::Aaaa).unwrap().unwrap(), [] as [IpAddr; 0]);
    }

    #[test]
    fn a_refusal_is_no_answer_and_a_damaged_packet_no_panic() {
        assert!(answer(&packet(5), Record::A).unwrap().is_err());
        let whole = packet(0);
        for length in 0..whole.len() {
            assert!(answer(&whole[..length], Record::A).is_none(), "{length}");
        }
    }
}
