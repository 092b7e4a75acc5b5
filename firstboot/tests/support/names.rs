//! The Internet as a domain's proof meets it: a name server of the machine's own, and web servers at port 80 of
//! addresses of their own, all on loopback.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::http::{Answer, Request, Server};
use super::machine::Machine;

/// Addresses by name; a name that is not there does not exist.
type Zone = Arc<Mutex<BTreeMap<String, Vec<IpAddr>>>>;

/// The name server with its web servers; all end with it.
pub(crate) struct Internet {
    zone: Zone,
    refuses: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
    webs: Vec<Server>,
}

impl Internet {
    /// A name server that the machine asks, without any names yet.
    pub(crate) fn of(machine: &Machine) -> Self {
        let address = fresh();
        let socket = UdpSocket::bind((address, 53)).expect("these tests must run as root: they serve names");
        // Only how soon the end is noticed.
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        machine.put("/etc/resolv.conf", &format!("# by hand\nnameserver {address}\n"));
        let (zone, refuses, stop) = (Zone::default(), Arc::default(), Arc::<AtomicBool>::default());
        let (names, refusing, stopped) = (zone.clone(), Arc::<AtomicBool>::clone(&refuses), stop.clone());
        let server = thread::spawn(move || {
            let mut packet = [0; 512];
            while !stopped.load(Ordering::SeqCst) {
                if let Ok((length, from)) = socket.recv_from(&mut packet) {
                    let reply =
                        reply(&packet[..length], &names.lock().unwrap(), refusing.load(Ordering::SeqCst));
                    socket.send_to(&reply, from).unwrap();
                }
            }
        });
        Self { zone, refuses, stop, server: Some(server), webs: Vec::new() }
    }

    /// An Internet in which `domain` leads to the machine, through an address that the machine does not know as its
    /// own: a NAT.
    pub(crate) fn leading_to(machine: &Machine, domain: &str) -> Self {
        let mut internet = Self::of(machine);
        let address = internet.web(serve_proof(machine, domain));
        internet.point(domain, &[address]);
        internet
    }

    /// Sets all addresses of a name.
    pub(crate) fn point(&self, name: &str, addresses: &[IpAddr]) {
        self.zone.lock().unwrap().insert(name.to_owned(), addresses.to_vec());
    }

    /// From now on the name server answers nobody's questions.
    pub(crate) fn refuse(&self) {
        self.refuses.store(true, Ordering::SeqCst);
    }

    /// A web server at a new address.
    pub(crate) fn web(&mut self, answer: impl FnMut(&Request) -> Answer + Send + 'static) -> IpAddr {
        self.web_of("Server: test", answer)
    }

    /// The same, of somebody who is known by a header.
    pub(crate) fn web_of(
        &mut self,
        header: &'static str,
        answer: impl FnMut(&Request) -> Answer + Send + 'static,
    ) -> IpAddr {
        let address = fresh();
        self.webs.push(Server::start_at(SocketAddr::from((address, 80)), header, answer));
        address.into()
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let ended = self.server.take().map(JoinHandle::join);
        assert!(thread::panicking() || !matches!(ended, Some(Err(_))), "the name server panicked");
    }
}

/// Serves what Caddy would: the files that a proof lays out.
pub(crate) fn serve_proof(
    machine: &Machine,
    domain: &str,
) -> impl FnMut(&Request) -> Answer + Send + use<> + 'static {
    let domain = domain.to_owned();
    let folder: PathBuf = machine.path("/var/lib/echora/caddy/proof");
    move |request| {
        assert_eq!(request.headers["host"], domain);
        let name = request.path.strip_prefix("/.well-known/echora/").unwrap_or("nothing");
        match fs::read_to_string(folder.join(name)) {
            Ok(text) => Answer::Reply(200, text),
            Err(_) => Answer::Reply(404, String::new()),
        }
    }
}

/// A loopback address that nobody else uses: of this process and this call.
pub(crate) fn fresh() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let number = u8::try_from(NEXT.fetch_add(1, Ordering::Relaxed)).expect("fewer servers than that");
    Ipv4Addr::new(127, 64 | high, low, number)
}

fn reply(question: &[u8], names: &BTreeMap<String, Vec<IpAddr>>, refuses: bool) -> Vec<u8> {
    let (mut name, mut at) = (Vec::new(), 12);
    while question[at] != 0 {
        let end = at + 1 + usize::from(question[at]);
        name.push(String::from_utf8_lossy(&question[at + 1..end]).into_owned());
        at = end;
    }
    let wants_v6 = question[at + 2] == 28;
    let known = names.get(&name.join("."));
    let addresses: Vec<&IpAddr> = known.into_iter().flatten().filter(|ip| ip.is_ipv6() == wants_v6).collect();
    let code = match (refuses, known) {
        (true, _) => 5,
        (false, None) => 3,
        (false, Some(_)) => 0,
    };
    let count = if refuses { 0 } else { u8::try_from(addresses.len()).unwrap() };
    let mut reply = question[..at + 5].to_vec();
    reply[2..8].copy_from_slice(&[0x81, 0x80 | code, 0, 1, 0, count]);
    for address in addresses.into_iter().take(count.into()) {
        let bytes = match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let kind = if wants_v6 { 28 } else { 1 };
        reply.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 1, 0, u8::try_from(bytes.len()).unwrap()]);
        reply.extend(bytes);
    }
    reply
}
