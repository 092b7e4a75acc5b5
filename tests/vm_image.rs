//! The whole way on virtual machines: one snapshot, built by the real Packer, booted as buyers would.
//!
//! Minutes each; they share the snapshot. What a machine is like inside is asked over SSH with the buyer's own key.

mod support;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use echora_firstboot::login;
use echora_rehearsal::cloud::Buyer;
use echora_rehearsal::crowd::Crowd;
use echora_rehearsal::front_door::{FrontDoor, Login};
use echora_rehearsal::network::{MACHINE_V4, MACHINE_V6};
use echora_rehearsal::scan;
use support::buyer;
use support::query_script;
use support::snapshot::{events, shared};
use tokio::sync::Mutex;

/// Two machines at once gain nothing on a small host.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
const ASK: Duration = Duration::from_secs(120);
const STEP: Duration = Duration::from_secs(600);

/// Everything that must differ between two machines of one snapshot; a line each, name and value.
const IDENTITY: &str = r#"
set -eu
cd /opt/echora
for name in JWT_SECRET HMAC_SECRET POSTGRES_PASSWORD; do
    printf '%s %s\n' "$name" "$(sed -n "s/^$name=//p" .env)"
done
for kind in ed25519 ecdsa rsa; do
    printf 'host-key-%s %s\n' "$kind" "$(cut -d ' ' -f 2 "/etc/ssh/ssh_host_${kind}_key.pub")"
done
printf 'machine-id %s\n' "$(cat /etc/machine-id)"
printf 'postgres-system %s\n' "$(docker compose exec -T postgres pg_controldata | sed -n 's/.*system identifier: *//p')"
for key in root intermediate; do
    printf 'caddy-%s %s\n' "$key" "$(sha256sum <"/var/lib/echora/caddy-data/caddy/pki/authorities/local/$key.key")"
done
printf 'engine %s\n' "$(docker info --format '{{.ID}}')"
"#;

async fn boot() -> Buyer {
    buyer::boot(2, 2048).await
}

/// Strangers ask for an account from before the machine's first packet until its login is printed.
async fn boot_among_strangers() -> (Buyer, Login) {
    let mut buyer = boot().await;
    let crowd = Crowd::start(&buyer.network);
    let login = buyer.login(0, |_| {}).await.unwrap();
    let met = crowd.stop().await.unwrap();
    println!("{} tries, {} unanswered, {:?}, roles {:?}", met.tries, met.silence, met.answers, met.roles);
    assert!(!met.roles.contains_key("owner"), "{:?}", met.roles);
    assert!(
        met.tries > 100 && met.answers.contains_key(&503),
        "the fence was hardly seen: {:?}",
        met.answers
    );
    assert_eq!(query(&buyer, "SELECT username FROM users WHERE role = 'owner'").await, login.username);
    (buyer, login)
}

/// An answer of the machine's database.
async fn query(buyer: &Buyer, question: &str) -> String {
    inside(buyer, &query_script(question)).await.trim().to_owned()
}

async fn inside(buyer: &Buyer, script: &str) -> String {
    buyer::inside(buyer, script).await
}

async fn role(buyer: &Buyer, login: &Login) -> anyhow::Result<String> {
    FrontDoor::new(&buyer.network, &buyer.url(login)).prove(login).await
}

fn pairs(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once(' ')).collect()
}

#[tokio::test]
async fn two_buyers_share_nothing_but_the_snapshot() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let (mut one, first) = boot_among_strangers().await;
    let (two, second) = boot_among_strangers().await;

    assert_eq!(role(&one, &first).await.unwrap(), "owner");
    assert_eq!(role(&two, &second).await.unwrap(), "owner");
    assert!(
        role(&one, &second).await.is_err() && role(&two, &first).await.is_err(),
        "a login works on its own machine only"
    );

    let (of_one, of_two) = (inside(&one, IDENTITY).await, inside(&two, IDENTITY).await);
    let (of_one, of_two) = (pairs(&of_one), pairs(&of_two));
    assert_eq!(of_one.len(), 11, "{:?}", of_one.keys());
    for (name, value) in &of_one {
        assert!(!value.is_empty() && of_two[name] != *value, "{name} is the same on both machines");
    }
    assert_ne!(first.password, second.password);

    let door = FrontDoor::new(&one.network, &one.url(&first));
    assert_eq!(door.register("visitor", "correct horse").await.unwrap(), "member");

    check_inside(&one, &first).await;
    check_way_out(&one).await;
    check_reboot(&mut one, &first).await;
}

/// What a buyer who looks around sees, in sections: one connection, as the image limits how many there are.
const LOOK: &str = r#"
section() { printf '== %s\n' "$1"; }
section modes; stat -c '%a %n' /root/echora-credentials /opt/echora/.env /var/lib/echora/state.json
section secrets; sed -n 's/^[A-Z_]*SECRET=//p; s/^POSTGRES_PASSWORD=//p' /opt/echora/.env
section listening; ss -ltnH | awk '{print $4}'
section cloud-id; cloud-id
section images; docker image ls --format '{{.Repository}}:{{.Tag}}' | sort
section shown
journalctl --no-pager -q; cat /var/log/cloud-init*.log; run-parts /etc/update-motd.d; ps axww; docker ps -a --no-trunc
"#;

async fn check_inside(buyer: &Buyer, login: &Login) {
    let look = inside(buyer, LOOK).await;
    let section = |name: &str| {
        let rest = look.split_once(&format!("== {name}\n")).unwrap_or_else(|| panic!("no section {name}")).1;
        rest.split("\n== ").next().unwrap_or_default().to_owned()
    };
    assert!(section("modes").lines().all(|line| line.starts_with("600 ")), "{}", section("modes"));
    let (secrets, shown) = (section("secrets"), section("shown"));
    assert_eq!(secrets.lines().count(), 3);
    for secret in secrets.lines().chain([login.password.as_str()]) {
        assert!(
            !shown.contains(secret),
            "a secret is shown in a log, a process list or the message of the day"
        );
    }
    let listening = section("listening");
    assert!(!listening.contains(":5432"), "{listening}");
    let app: Vec<_> = listening.lines().filter(|line| line.ends_with(":3000")).collect();
    assert_eq!(app, ["127.0.0.1:3000"], "{listening}");
    assert_eq!(section("cloud-id"), shared().await.entry.profile.boot.cloud_id);
    assert_eq!(
        section("images"),
        "echora/backend:installed\nechora/caddy:installed\nechora/postgres:installed"
    );
}

/// The machine's network has no route to anywhere: whatever first boot needed, it did not come from outside.
async fn check_way_out(buyer: &Buyer) {
    let mut command = buyer.network.command("ip");
    let routes = echora_rehearsal::process::run(command.args(["route"]), "ip route", ASK).await.unwrap();
    assert!(!routes.contains("default"), "{routes}");
}

/// A finished machine comes back by itself and prints nothing again, also when its clock was years ahead before.
async fn check_reboot(buyer: &mut Buyer, login: &Login) {
    inside(buyer, "date --set '+6 years'").await;
    buyer.machine.power_down().await.unwrap();
    let before = buyer.machine.console().len();
    buyer.machine.power_on().unwrap();
    buyer.machine.wait_for("login:", before, STEP).await.unwrap();
    assert_eq!(buyer.wait_for_site(login, STEP).await.unwrap(), "owner");
    assert!(!buyer.machine.console()[before..].contains("echora: "), "first boot ran again");
    for side in [IpAddr::V4(MACHINE_V4), IpAddr::V6(MACHINE_V6)] {
        let ports: Vec<u16> = scan::tcp(&buyer.network, side).await.unwrap().into_keys().collect();
        println!("after a reboot, {side}: {ports:?}");
        // The scan's own questions may have used up what port 22 allows.
        let others: Vec<u16> = ports.into_iter().filter(|port| *port != 22).collect();
        assert_eq!(others, [80, 443], "{side}");
    }
}

/// `boot` as the documentation shows it: a login on standard output, proved, and nothing left running.
#[tokio::test]
async fn boot_prints_a_login_that_it_has_proved() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let record = shared().await.file.to_str().unwrap();
    let chosen = ["--set", "admin_username=eve", "--set", "registration=open"];
    let arguments = [&["boot", record, "--json"], &chosen[..]].concat();
    let told = tokio::task::spawn_blocking(move || events(&arguments)).await.unwrap();
    let login = told.iter().find(|event| event["event"] == "login").expect("a login was printed");
    assert_eq!((login["username"].as_str(), login["role"].as_str()), (Some("eve"), Some("owner")));
    assert!(
        login["password"].as_str().is_some_and(|password| password.len() == 19),
        "the password has its form"
    );
}

/// Years ahead while the database is made, then years before the image was: as on a machine whose clock is set late.
#[tokio::test]
#[ignore = "three minutes: make soak"]
async fn a_clock_that_jumps_by_years_in_first_boot_costs_nothing() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let mut buyer = boot().await;
    buyer.machine.wait_for("echora: [5/9]", 0, STEP).await.unwrap();
    buyer.key.wait_for_ssh(&buyer.network, ASK).await.unwrap();
    for jump in ["+6 years", "-12 years"] {
        let now = inside(&buyer, &format!("date --set '{jump}'")).await;
        println!("{} {}", now.trim(), buyer.machine.console_tail().lines().last().unwrap_or_default());
    }
    assert!(!buyer.machine.console().contains(login::END), "the jumps came too late to prove anything");
    let login = buyer.login(0, |_| {}).await.unwrap();
    assert_eq!(role(&buyer, &login).await.unwrap(), "owner");
    assert_eq!(query(&buyer, "SELECT count(*) || role FROM users GROUP BY role").await, "1owner");
    check_reboot(&mut buyer, &login).await;
}

/// What the console shows when the power goes: containers start, the database is made, the app comes up, the owner gets
/// an account, the login is there and nothing says yet that all is done.
const CUTS: [&str; 4] = ["echora: [2/9]", "echora: [5/9]", "echora: [6/9]", "BEGIN ECHORA LOGIN"];

#[tokio::test]
#[ignore = "eight minutes: make soak"]
async fn power_cuts_in_first_boot_cost_nothing() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let mut buyer = boot().await;
    let mut before = 0;
    let mut secrets = String::new();
    for cut in CUTS {
        buyer.machine.wait_for(cut, before, STEP).await.unwrap();
        if cut == "echora: [5/9]" {
            // The database is being made now; what is in memory only is lost.
            buyer.key.wait_for_ssh(&buyer.network, ASK).await.unwrap();
            secrets = inside(&buyer, "cat /opt/echora/.env").await;
        }
        buyer.machine.cut_power().await.unwrap();
        let shown = buyer.machine.console()[before..].contains(login::END);
        assert!(!shown || cut == CUTS[3], "the cut at {cut} came too late to prove anything");
        before = buyer.machine.console().len();
        buyer.machine.power_on().unwrap();
    }
    // The marker may have been written before the power went: then the login that was shown then is the one.
    let end = tokio::time::Instant::now() + STEP;
    let works = loop {
        let shown = login::find(&buyer.machine.console()).ok();
        let shown = shown.map(|at| Login { url: at.url, username: at.username, password: at.password });
        if let Some(login) = shown
            && role(&buyer, &login).await.is_ok_and(|role| role == "owner")
        {
            break login;
        }
        buyer.machine.check().unwrap();
        assert!(tokio::time::Instant::now() < end, "no login works: {}", buyer.machine.console_tail());
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    println!("{works:?} works after {} power cuts", CUTS.len());
    assert_eq!(inside(&buyer, "cat /opt/echora/.env").await, secrets);
    assert_eq!(query(&buyer, "SELECT count(*) || role FROM users GROUP BY role").await, "1owner");
}
