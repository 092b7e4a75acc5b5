//! Who listens on the ports that this server needs.

use std::fs;

use anyhow::{Result, bail};

use crate::files;
use crate::system::System;

/// Of the web server and, on loopback, of the app.
const NEEDED: [u16; 3] = [80, 443, 3000];
/// The kernel's number of the state LISTEN: <https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html>.
const LISTEN: &str = "0A";

/// Whether the ports are free, or held by this server's own containers. In place of an owner there would be a server of
/// somebody else's, and the engine only tells that a container does not come up.
pub(crate) fn check(system: &System) -> Result<()> {
    let taken: Vec<String> = listeners(system)
        .into_iter()
        .filter(|(port, _)| NEEDED.contains(port))
        .filter_map(|(port, socket)| match holder(system, &socket) {
            Some(holder) if holder.in_container => None,
            Some(holder) => Some(format!("port {port} is taken by {} (process {})", holder.name, holder.pid)),
            None => Some(format!("port {port} is taken by a process that cannot be named")),
        })
        .collect();
    if !taken.is_empty() {
        bail!(
            "{}: stop it and keep it from starting, for example with `systemctl disable --now NAME`",
            taken.join(", ")
        );
    }
    Ok(())
}

/// Ports that are listened on, each with the number of a socket.
fn listeners(system: &System) -> Vec<(u16, String)> {
    let mut listeners = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = files::read(&system.path(table)).ok().flatten().unwrap_or_default();
        listeners.extend(text.lines().skip(1).filter_map(listener));
    }
    listeners
}

/// Local address, state and socket are the second, fourth and tenth word of a line.
fn listener(line: &str) -> Option<(u16, String)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (_, port) = words.get(1)?.rsplit_once(':')?;
    let socket = words.get(9).filter(|_| words.get(3) == Some(&LISTEN))?;
    Some((u16::from_str_radix(port, 16).ok()?, (*socket).to_owned()))
}

struct Holder {
    name: String,
    pid: u32,
    in_container: bool,
}

/// The process that has this socket open.
fn holder(system: &System, socket: &str) -> Option<Holder> {
    let wanted = format!("socket:[{socket}]");
    let processes = fs::read_dir(system.path("/proc")).ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids {
        let of_process = |what: &str| system.path(&format!("/proc/{pid}/{what}"));
        // Processes end while they are looked at.
        let Ok(mut files) = fs::read_dir(of_process("fd")) else {
            continue;
        };
        let has_it = files.any(|file| {
            file.and_then(|file| fs::read_link(file.path()))
                .is_ok_and(|target| target.as_os_str() == wanted.as_str())
        });
        if has_it {
            let text = |what: &str| files::read(&of_process(what)).ok().flatten().unwrap_or_default();
            // The engine's own service is not among them: it holds ports for containers that publish them.
            let in_container = ["/docker-", "/docker/"].iter().any(|part| text("cgroup").contains(part));
            return Some(Holder { name: text("comm").trim().escape_debug().to_string(), pid, in_container });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// The machine that runs this test.
    #[test]
    fn a_real_listener_is_found_with_its_process() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(socket) = TcpListener::bind(address) else {
                continue; // A machine without IPv6.
            };
            let port = socket.local_addr().unwrap().port();
            let system = System::default();
            let mut sockets = listeners(&system).into_iter().filter(|(listening, _)| *listening == port);
            let is_ours =
                |socket: &str| holder(&system, socket).is_some_and(|holder| holder.pid == std::process::id());
            assert!(sockets.any(|(_, socket)| is_ours(&socket)), "{address}");
        }
    }

    #[test]
    fn only_listeners_count() {
        let line = |state: &str| {
            format!(
                "   0: 00000000:0050 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 777 1"
            )
        };
        assert_eq!(listener(&line("0A")), Some((80, "777".into())));
        assert_eq!(listener(&line("01")), None);
        assert_eq!(listener("garbage"), None);
    }
}
