//! Networks of machines: apart from each other and from the world, and gone when their owner is. Takes root.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use echora_rehearsal::metadata::{Metadata, setting_for};
use echora_rehearsal::network::{GATEWAY_V4, MACHINE_V4, METADATA, Network, sweep};
use provider_profiles::Catalog;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;

/// Names of namespaces carry this process's id: a test that counts them must be alone.
static ALONE: Mutex<()> = Mutex::const_new(());

const OUTSIDE: &str = "198.51.100.1:80";
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn networks_with_the_same_addresses_reach_their_own_metadata_each() {
    let _alone = ALONE.lock().await;
    let catalog = Catalog::embedded().unwrap();
    let mut machines = Vec::new();
    for entry in catalog.iter() {
        let network = Network::create(&[]).await.unwrap();
        let setting = setting_for(entry, Vec::new(), String::new(), BTreeMap::new());
        let id = setting.instance.instance_id.clone();
        machines.push((
            entry,
            id,
            Metadata::serve(&network, &entry.fixture, setting).await.unwrap(),
            network,
        ));
    }
    for (entry, _, metadata, network) in &machines {
        let id = &entry.profile.id;
        let answer = network.inside(async || Ok(get(METADATA, "/who").await)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{id}: {answer}");
        let asked: Vec<_> = metadata.asked().into_iter().map(|asked| asked.path).collect();
        assert_eq!(asked, ["/who"], "{id}: the request went elsewhere");
    }
    let mut names: Vec<_> = machines.iter().map(|(.., network)| network.namespace().to_owned()).collect();
    names.dedup();
    assert_eq!(names.len(), machines.len(), "networks share a namespace");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leads_out() {
    let _alone = ALONE.lock().await;
    let network = Network::create(&[]).await.unwrap();
    for family in ["-4", "-6"] {
        let routes = ip(&["-netns", network.namespace(), family, "route", "show", "table", "all"]);
        assert!(!routes.contains("default"), "{routes}");
        assert!(routes.contains("dev cloud0"), "the network itself is not there: {routes}");
    }
    let links = ip(&["-netns", network.namespace(), "-o", "link"]);
    let names: Vec<_> = links.lines().filter_map(|line| line.split(": ").nth(1)).collect();
    assert_eq!(names, ["lo", "cloud0", "machine0"], "a link that could lead out");
    let refused = network.inside(async || Ok(connect(OUTSIDE.parse().unwrap()))).await.unwrap();
    assert_eq!(refused, Some(ErrorKind::NetworkUnreachable));
    let refused = network.inside(async || Ok(connect("[2001:db8:1::1]:80".parse().unwrap()))).await.unwrap();
    assert_eq!(refused, Some(ErrorKind::NetworkUnreachable));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_mirrors_have_names() {
    let _alone = ALONE.lock().await;
    let network = Network::create(&["deb.debian.org"]).await.unwrap();
    let (known, unknown) = (query("deb.debian.org"), query("example.net"));
    let answers = network.inside(async move || Ok((resolve(&known).await, resolve(&unknown).await)));
    let (known, unknown) = answers.await.unwrap();
    assert_eq!(
        (known[3] & 15, &known[known.len() - 4..]),
        (0, &GATEWAY_V4.octets()[..]),
        "the mirror's address"
    );
    assert_eq!((unknown[3] & 15, unknown[7]), (5, 0), "another name is refused, without an answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_its_zone_exists_once_it_is_recorded() {
    let _alone = ALONE.lock().await;
    let network = Network::create(&[]).await.unwrap();
    let ask = async || {
        let question = query("chat.example.org");
        network.inside(async move || Ok(resolve(&question).await)).await.unwrap()
    };
    assert_eq!(ask().await[3] & 15, 3, "there is no such name yet");
    network.record("chat.example.org", MACHINE_V4.into()).unwrap();
    let end = Instant::now() + PATIENCE;
    while !ask().await.ends_with(&MACHINE_V4.octets()) {
        assert!(Instant::now() < end, "the record does not show");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_is_reached_from_inside_only() {
    let _alone = ALONE.lock().await;
    let network = Network::create(&[]).await.unwrap();
    let here: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let listener = network.listen(here).await.unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(connect(address), Some(ErrorKind::ConnectionRefused), "it is open outside");
    let stream = network.handle().connect(address).await;
    stream.unwrap().write_all(b"in").await.unwrap();
    let mut text = String::new();
    listener.accept().await.unwrap().0.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_network_leaves_nothing() {
    let _alone = ALONE.lock().await;
    let network = Network::create(&["deb.debian.org"]).await.unwrap();
    let entry = Catalog::embedded().unwrap().iter().next().unwrap().clone();
    let setting = setting_for(&entry, Vec::new(), String::new(), BTreeMap::new());
    let metadata = Metadata::serve(&network, &entry.fixture, setting).await.unwrap();
    let name = network.namespace().to_owned();
    let processes = processes(&name);
    assert_eq!(processes.len(), 1, "dnsmasq alone");
    let leases = leases_folder(processes[0]);
    assert!(leases.is_dir(), "{}", leases.display());
    drop(metadata);
    drop(network);
    assert!(!namespaces().contains(&name));
    assert!(!leases.exists(), "{} stayed", leases.display());
    assert!(!Path::new(&format!("/proc/{}", processes[0])).exists(), "dnsmasq runs on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_metadata_service_makes_room_for_the_next() {
    let _alone = ALONE.lock().await;
    let network = Network::create(&[]).await.unwrap();
    let entry = Catalog::embedded().unwrap().iter().next().unwrap().clone();
    let setting = setting_for(&entry, Vec::new(), String::new(), BTreeMap::new());
    let metadata = Metadata::serve(&network, &entry.fixture, setting.clone()).await.unwrap();
    assert_eq!(network.inside(async || Ok(connect(METADATA))).await.unwrap(), None);
    drop(metadata);
    let end = Instant::now() + PATIENCE;
    while network.inside(async || Ok(connect(METADATA))).await.unwrap() != Some(ErrorKind::ConnectionRefused)
    {
        assert!(Instant::now() < end, "the service still listens");
    }
    Metadata::serve(&network, &entry.fixture, setting).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_cut_short_while_its_namespace_is_made_leaves_nothing() {
    let _alone = ALONE.lock().await;
    let prefix = format!("echora-{}-", std::process::id());
    let born = || {
        fs::read_dir("/run/netns")
            .unwrap()
            .flatten()
            .any(|e| e.file_name().to_string_lossy().starts_with(&prefix))
    };
    let appears = async {
        while !born() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = appears => {}
        _ = Network::create(&[]) => panic!("the network was whole before its namespace was seen"),
    }
    assert!(!born(), "the namespace stayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_cut_short_anywhere_leaves_nothing() {
    let _alone = ALONE.lock().await;
    let before = namespaces();
    let mut cuts = 0;
    loop {
        let creation = tokio::time::timeout(Duration::from_millis(2 * cuts), Network::create(&[]));
        let whole = creation.await.is_ok_and(|network| network.is_ok());
        assert_eq!(namespaces(), before, "left behind after {} ms", 2 * cuts);
        assert_eq!(dnsmasqs(&before), Vec::<u32>::new(), "left behind after {} ms", 2 * cuts);
        if whole {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 5, "a creation takes longer than {cuts} cuts of 2 ms");
}

#[tokio::test]
async fn the_sweep_takes_the_networks_of_the_dead_alone() {
    let _alone = ALONE.lock().await;
    let mut child = Command::new("true").spawn().unwrap();
    let dead = child.id();
    child.wait().unwrap();
    let owned = |id: u32| Owned::add(format!("echora-{id}-9999"));
    let (dead, living, foreign) =
        (owned(dead), owned(std::process::id()), Owned::add(format!("echoraless-{dead}-1")));
    let mut orphan = Command::new("ip").args(["netns", "exec", &dead.0, "sleep", "600"]).spawn().unwrap();
    wait_until("the orphan is inside", || processes(&dead.0) == [orphan.id()]);
    sweep();
    wait_until("the orphan has ended", || orphan.try_wait().unwrap().is_some());
    assert!(!is_there(&dead.0), "a dead process's network stayed");
    assert!(is_there(&living.0), "a living process lost its network");
    assert!(is_there(&foreign.0), "a network that is not ours is gone");
}

/// A namespace as another process would have it.
struct Owned(String);

impl Owned {
    fn add(name: String) -> Self {
        ip(&["netns", "add", &name]);
        Self(name)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if is_there(&self.0) {
            ip(&["netns", "delete", &self.0]);
        }
    }
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn ip(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Networks of this process; others come and go.
fn namespaces() -> Vec<String> {
    let ours = format!("echora-{}-", std::process::id());
    let listed = ip(&["netns", "list"]);
    let names = listed.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned);
    names.filter(|name| name.starts_with(&ours)).collect()
}

fn is_there(namespace: &str) -> bool {
    Path::new("/run/netns").join(namespace).exists()
}

/// Ids of what runs in a namespace.
fn processes(namespace: &str) -> Vec<u32> {
    ip(&["netns", "pids", namespace]).lines().map(|id| id.trim().parse().unwrap()).collect()
}

/// Children of this process that serve addresses, but for those of networks that are meant to be there.
fn dnsmasqs(expected: &[String]) -> Vec<u32> {
    let expected: Vec<_> = expected.iter().flat_map(|name| processes(name)).collect();
    let children =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let ours = |id: &u32| {
        // "id (name) state parent": whatever ends in between is not there any more.
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        stat.contains("(dnsmasq)") && parent == Some(std::process::id())
    };
    children.filter(ours).filter(|id| !expected.contains(id)).collect()
}

/// Where a dnsmasq keeps its leases.
fn leases_folder(dnsmasq: u32) -> PathBuf {
    let arguments = fs::read_to_string(format!("/proc/{dnsmasq}/cmdline")).unwrap();
    let leases = arguments.split('\0').find_map(|argument| argument.strip_prefix("--dhcp-leasefile="));
    Path::new(leases.unwrap()).parent().unwrap().to_owned()
}

/// Connects; the error's kind when it does not come about.
fn connect(address: SocketAddr) -> Option<ErrorKind> {
    TcpStream::connect_timeout(&address, PATIENCE).err().map(|error| error.kind())
}

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// A DNS query for a name's IPv4 address.
fn query(name: &str) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// The gateway's answer; it may still be starting.
async fn resolve(query: &[u8]) -> Vec<u8> {
    let socket = tokio::net::UdpSocket::bind("0.0.0.0:0").await.unwrap();
    socket.connect((GATEWAY_V4, 53)).await.unwrap();
    let (end, mut answer) = (Instant::now() + PATIENCE, [0; 512]);
    loop {
        assert!(Instant::now() < end, "no answer from the gateway's name service");
        // Refused at once, or lost: both are asked again.
        let _ = socket.send(query).await;
        if let Ok(Ok(length)) =
            tokio::time::timeout(Duration::from_millis(200), socket.recv(&mut answer)).await
        {
            return answer[..length].to_vec();
        }
    }
}
