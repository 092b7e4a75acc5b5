//! The machine's network as a stranger in it sees it: packets that go through, not rules that are listed.

mod support;

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use echora_rehearsal::network::{GATEWAY_V4, MACHINE_V4, MACHINE_V6, Network};
use echora_rehearsal::process::run;
use echora_rehearsal::scan;
use support::cell::{BOOT, Rented};
use tokio::net::TcpListener;

/// A sample: below, in and above the range for voice, and what is often open.
const UDP: [u16; 10] = [53, 68, 123, 161, 5353, 9999, 10000, 30000, 59999, 60000];
const SERVED: [u16; 3] = [22, 80, 443];
/// Those of the sample that are let through.
const VOICE: [u16; 3] = [10000, 30000, 59999];
const SIDES: [IpAddr; 2] = [IpAddr::V4(MACHINE_V4), IpAddr::V6(MACHINE_V6)];

/// Until the web server listens, its ports are refused and not dropped.
async fn nothing_else_answers(network: &Network, when: &str) {
    for side in SIDES {
        let ports = scan::tcp(network, side).await.unwrap();
        println!("{when}, {side}: {ports:?}");
        assert!(ports.keys().all(|port| SERVED.contains(port)), "{when}, {side}: {ports:?}");
        let answers = scan::udp(network, side, &UDP).await.unwrap();
        assert!(answers.keys().all(|port| VOICE.contains(port)), "{when}, {side}: UDP {answers:?}");
    }
}

#[tokio::test]
async fn only_ssh_the_site_and_voice_answer() {
    let mut rented = Rented::make().await;
    // All that is open before the stack has ever been started.
    rented
        .cell
        .put(
            "etc/systemd/system/echora-firstboot.service.d/hold.conf",
            "[Unit]\nConditionPathExists=/run/go\n",
            0o644,
        )
        .unwrap();
    rented.start().await;
    rented.cell.settled(BOOT).await.unwrap();
    nothing_else_answers(&rented.network, "before first boot").await;

    let boot = async {
        rented.cell.inside("touch /run/go; systemctl start --no-block echora-firstboot").await.unwrap();
    };
    tokio::join!(boot, nothing_else_answers(&rented.network, "during first boot"));
    let login = rented.login(0).await;
    check_finished(&rented, "after first boot").await;

    // The network card of a machine that starts again has no rule left; what it has then came from its disk.
    rented.start().await;
    rented.cell.settled(BOOT).await.unwrap();
    rented.wait_for_site(&login).await;
    check_finished(&rented, "after a reboot").await;
}

async fn check_finished(rented: &Rented, when: &str) {
    nothing_else_answers(&rented.network, when).await;
    for side in SIDES {
        for port in [80, 443] {
            assert!(
                reaches(&rented.network, SocketAddr::new(side, port)).await,
                "{when}: {side}:{port} is shut"
            );
        }
        wait_for_ssh(&rented.network, side).await;
        let answers = scan::udp(&rented.network, side, &UDP).await.unwrap();
        let answers: Vec<u16> = answers.into_keys().collect();
        println!("{when}, {side}: UDP {answers:?}");
        assert_eq!(answers, VOICE, "{when}, {side}: UDP that is let through");
    }
    let listening = rented.cell.inside("ss -ltnH; pid=$(docker inspect -f '{{.State.Pid}}' echora-postgres); nsenter -t $pid -n ss -ltnH").await;
    let listening = listening.unwrap();
    assert!(!listening.contains(":5432") && listening.contains("127.0.0.1:3000"), "{listening}");
    for side in SIDES {
        limit_holds(rented, side).await;
    }
}

/// A scan keeps asking port 22 whether the machine is still there, and so uses up what a person is allowed in half a
/// minute. Whoever goes on trying in that time stays shut out: each refusal counts as well.
async fn wait_for_ssh(network: &Network, side: IpAddr) {
    let end = tokio::time::Instant::now() + BOOT;
    while !reaches(network, SocketAddr::new(side, 22)).await {
        assert!(tokio::time::Instant::now() < end, "{side}: port 22 stays shut");
        tokio::time::sleep(Duration::from_secs(31)).await;
    }
}

/// Six connections in half a minute are enough for a person.
async fn limit_holds(rented: &Rented, side: IpAddr) {
    let mut reached = 0;
    for _ in 0..12 {
        reached += usize::from(reaches(&rented.network, SocketAddr::new(side, 22)).await);
    }
    assert!(reached <= 6, "{side}: {reached} of 12 connections to port 22 went through");
}

async fn reaches(network: &Network, target: SocketAddr) -> bool {
    let connect = async move || {
        let attempt = tokio::net::TcpStream::connect(target);
        Ok(matches!(tokio::time::timeout(Duration::from_millis(700), attempt).await, Ok(Ok(_))))
    };
    network.inside(connect).await.unwrap()
}

/// A database that somebody publishes on all addresses, as is done every day.
const STRAY: &str = "docker run --detach --restart=always --name stray -p 8080:5432 -p 20000:53/udp -e POSTGRES_PASSWORD=stray \
                     echora/postgres:installed >/dev/null";
const STRAY_IS_UP: &str = "until bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080' 2>/dev/null && docker exec stray pg_isready -q; do sleep 0.2; done";

/// The command of the documentation, for the port of the stray database.
fn allow() -> String {
    let page = include_str!("../docs/first-boot.md");
    let command = page.lines().find(|line| line.starts_with("ufw route allow")).expect("it is documented");
    command.replace("port 8080", "port 5432")
}

/// Who asks the metadata service, and whether it may. Users of the host, then containers in the host's network and on
/// a bridge, as root and as others.
const ASKERS: [(&str, &str, bool); 10] = [
    ("root of the host", "bash -c 'ASK'", true),
    ("the app's user", "setpriv --reuid=10001 --regid=10001 --clear-groups bash -c 'ASK'", false),
    ("the web server's user", "setpriv --reuid=10002 --regid=10002 --clear-groups bash -c 'ASK'", false),
    ("nobody", "setpriv --reuid=65534 --regid=65534 --clear-groups bash -c 'ASK'", false),
    (
        "an app in a container",
        "docker run --rm --network host --user 10001 --entrypoint bash IMAGE -c 'ASK'",
        false,
    ),
    (
        "a web server in a container",
        "docker run --rm --network host --user 10002 --entrypoint bash IMAGE -c 'ASK'",
        false,
    ),
    (
        "a database in a container",
        "docker run --rm --network host --user 999 --entrypoint bash IMAGE -c 'ASK'",
        false,
    ),
    // It is the host's root, but for its files: the documentation says so.
    (
        "root of a container in the host's network",
        "docker run --rm --network host --user 0 --entrypoint bash IMAGE -c 'ASK'",
        true,
    ),
    ("root of a container", "docker run --rm --entrypoint bash IMAGE -c 'ASK'", false),
    ("somebody in a container", "docker run --rm --user 1234 --entrypoint bash IMAGE -c 'ASK'", false),
];
/// Where metadata services answer: over IPv4 all, over IPv6 each by its own rule.
const PLACES: [&str; 4] = ["169.254.169.254", "fd00:ec2::254", "fd00:a9fe:a9fe::1", "fd00:c1::a9fe:a9fe"];
/// One is told with the card that leads there.
const LINK_LOCAL: &str = "fe80::a9fe:a9fe";
const CARD: &str = "ip -6 -oneline address show scope global | awk '$2 !~ /docker|br-/ { print $2; exit }'";

async fn check_metadata(rented: &Rented, places: &[&str], when: &str) {
    for place in places {
        for (who, how, may) in ASKERS {
            // A timeout is a refusal, too: what refuses a link-local address does not always get back to who asked.
            let ask = format!("timeout 3 bash -c \"exec 3<>/dev/tcp/{place}/80\"");
            let script = how.replace("ASK", &ask).replace("IMAGE", "echora/postgres:installed");
            let script = format!("if {script} 2>/dev/null; then echo yes; else echo no; fi");
            let got = rented.cell.inside(&script).await.unwrap();
            assert_eq!(got.trim() == "yes", may, "{when}: {who} at {place}");
        }
    }
}

/// Further metadata addresses, which providers have for IPv6.
async fn serve_ipv6_metadata(network: &Network) -> Vec<TcpListener> {
    let bridge = ip(network, &["-oneline", "link", "show", "cloud0"]).await;
    let bridge: u32 = bridge.split(':').next().unwrap().parse().expect("an index leads its line");
    let mut listeners = Vec::new();
    for place in PLACES[1..].iter().chain([&LINK_LOCAL]) {
        let address: Ipv6Addr = place.parse().unwrap();
        let (length, scope) = if address.is_unicast_link_local() { (64, bridge) } else { (128, 0) };
        ip(network, &["address", "add", &format!("{address}/{length}"), "dev", "cloud0", "nodad"]).await;
        let at = SocketAddrV6::new(address, 80, 0, scope);
        listeners.push(network.listen(at.into()).await.unwrap());
    }
    listeners
}

async fn ip(network: &Network, arguments: &[&str]) -> String {
    let mut command = tokio::process::Command::new("ip");
    command.args(["-netns", network.namespace()]).args(arguments);
    run(&mut command, "ip", Duration::from_secs(120)).await.unwrap()
}

#[tokio::test]
async fn docker_opens_nothing_and_nobody_but_root_asks_for_metadata() {
    let mut rented = Rented::make().await;
    let _metadata = serve_ipv6_metadata(&rented.network).await;
    rented.start().await;
    let login = rented.login(0).await;
    rented.cell.inside(STRAY).await.unwrap();
    // Docker keeps the port for itself over IPv4, where nothing gets past its own rules.
    let listening = rented.cell.inside("ss -6lunH; ss -lunH | grep -F '*:20000 ' || true").await.unwrap();
    assert!(!listening.contains(":20000 "), "something answers for the container among voice: {listening}");
    check_metadata(&rented, &PLACES, "after first boot").await;
    let card = rented.cell.inside(CARD).await.unwrap();
    check_metadata(&rented, &[&format!("{LINK_LOCAL}%{}", card.trim())], "after first boot").await;

    let rounds = [
        "true",
        "systemctl restart docker",
        "systemctl restart ufw",
        "ufw reload",
        "systemctl restart ufw && systemctl restart docker",
        "systemctl restart docker && systemctl restart ufw",
        "ufw disable && ufw --force enable",
    ];
    for round in rounds {
        rented.cell.inside(&format!("{round} && {STRAY_IS_UP}")).await.unwrap();
        rented.wait_for_site(&login).await;
        for side in SIDES {
            assert!(
                !reaches(&rented.network, SocketAddr::new(side, 8080)).await,
                "after {round}: {side} is open"
            );
            assert!(
                reaches(&rented.network, SocketAddr::new(side, 443)).await,
                "after {round}: {side} is shut"
            );
        }
        check_metadata(&rented, &PLACES[..2], round).await;
    }

    // The way that the documentation names opens it, and nothing else did: without the rules it is open.
    let stray = SocketAddr::new(SIDES[0], 8080);
    rented.cell.inside(&allow()).await.unwrap();
    assert!(reaches(&rented.network, stray).await, "ufw route allow opens a published port");
    rented.cell.inside(&allow().replace("route", "route delete")).await.unwrap();
    assert!(!reaches(&rented.network, stray).await);
    rented.cell.inside("iptables -F DOCKER-USER").await.unwrap();
    assert!(reaches(&rented.network, stray).await, "it is the rules that keep it shut");
}

/// ACME for the web server, link previews for the app, names for both, and packages for the system.
#[tokio::test]
async fn what_the_product_needs_gets_out() {
    let mut rented = Rented::make().await;
    let (web, packages) =
        (SocketAddr::new(GATEWAY_V4.into(), 443), SocketAddr::new("2001:db8::1".parse().unwrap(), 80));
    let _listeners =
        (rented.network.listen(web).await.unwrap(), rented.network.listen(packages).await.unwrap());
    rented.start().await;
    rented.login(0).await;
    for (user, target) in [(10001, web), (10002, web), (0, packages), (10002, packages)] {
        let script = format!(
            "timeout 5 setpriv --reuid={user} --regid={user} --clear-groups bash -c 'exec 3<>/dev/tcp/{}/{}'",
            target.ip(),
            target.port()
        );
        rented
            .cell
            .inside(&script)
            .await
            .unwrap_or_else(|error| panic!("user {user} to {target}: {error:#}"));
    }
}
