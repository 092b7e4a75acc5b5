//! A flood of logins on the smallest machine: whoever asks needs no account, and each login takes 19 MiB and a processor.

mod support;

use std::time::Duration;

use anyhow::{Context, Result};
use echora_rehearsal::front_door::Login;
use reqwest::Client;
use serde_json::json;
use support::cell::Rented;
use support::snapshot::snapshot;
use tokio::task::JoinSet;

const ATTACKERS: usize = 128;
/// Logins of each attacker, one after another.
const LOGINS: usize = 3;
const MACHINE: u64 = 1 << 30;
/// The most that the app may ever have resident, in KiB.
const APP: u64 = 200 << 10;
const REPLY: Duration = Duration::from_secs(180);

/// The kernel tells the memory of the host; first boot is to fit the stack to the machine that the limit makes of it. A cell
/// has no swap of its own, so one is told that is there already.
const TELL_LIMIT: &str = "\
sed -e 's/^\\(MemTotal\\|MemFree\\|MemAvailable\\):.*/\\1: 1000000 kB/' -e 's/^\\(SwapTotal\\|SwapFree\\):.*/\\1: 1048572 kB/' \
/proc/meminfo >/run/meminfo && mount --bind /run/meminfo /proc/meminfo && touch /run/go && \
systemctl start --no-block echora-firstboot";
const HOLD: &str = "[Unit]\nConditionPathExists=/run/go\n";
/// A container a line: whether it was killed for its memory, and how often it was started again.
const HEALTH: &str = "docker inspect -f '{{.Name}} {{.State.OOMKilled}} {{.RestartCount}}' \
                      echora-postgres echora-backend echora-caddy";

#[tokio::test]
async fn a_flood_of_logins_ends_nothing_within_a_gigabyte() {
    let disk = snapshot().await;
    let mut rented = Rented::make(&disk).await;
    rented.cell.put("etc/systemd/system/echora-firstboot.service.d/hold.conf", HOLD, 0o644).unwrap();
    rented.cell.limit_memory(MACHINE);
    rented.start().await;
    rented.cell.settled(support::cell::BOOT).await.unwrap();
    rented.cell.inside(TELL_LIMIT).await.unwrap();
    let login = rented.login(0).await;
    let before = app(&rented);

    let answers = flood(&rented, &login).await.unwrap();

    let (after, machine) = (app(&rented), rented.cell.memory().unwrap());
    println!(
        "{} logins by {ATTACKERS} at once: app {} -> {} KiB at most, machine {} MiB at most, {} kills",
        answers.len(),
        before.peak,
        after.peak,
        machine.peak >> 20,
        machine.kills
    );
    assert_eq!(machine.kills, 0, "memory was short");
    assert_eq!(after.id, before.id, "the app was started anew");
    assert!(after.peak <= APP, "the app had {} KiB", after.peak);
    assert!(after.peak > before.peak, "the flood never reached the app");
    // Who waits too long for a connection to the database is sent away with an error, on a slow machine more of them.
    assert!(answers.iter().all(|status| *status == 401 || *status >= 500), "{answers:?}");
    assert!(answers.contains(&401), "no login was judged");
    let health = rented.cell.inside(HEALTH).await.unwrap();
    assert_eq!(health, "/echora-postgres false 0\n/echora-backend false 0\n/echora-caddy false 0\n");
    assert_eq!(rented.role(&login).await.unwrap(), "owner");
}

/// The app's process.
struct App {
    id: u32,
    /// Its largest resident set so far, in KiB.
    peak: u64,
}

fn app(rented: &Rented) -> App {
    let ids = rented.cell.processes("echora");
    let [id] = ids[..] else { panic!("not one process of the app: {ids:?}") };
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel tells it");
    App { id, peak: peak.trim().trim_end_matches(" kB").parse().unwrap() }
}

/// Logins of the owner with a wrong password, which the app must hash; the statuses of all answers.
async fn flood(rented: &Rented, login: &Login) -> Result<Vec<u16>> {
    let url = format!("{}/api/auth/login", login.url);
    let body = json!({"username": login.username, "password": "not the password"});
    let attack = async move || {
        let client = Client::builder().danger_accept_invalid_certs(true).no_proxy().timeout(REPLY).build()?;
        let mut attackers = JoinSet::new();
        for _ in 0..ATTACKERS {
            let (client, url, body) = (client.clone(), url.clone(), body.clone());
            attackers.spawn(async move {
                let mut answers = Vec::new();
                for _ in 0..LOGINS {
                    answers.push(client.post(&url).json(&body).send().await?.status().as_u16());
                }
                anyhow::Ok(answers)
            });
        }
        let mut answers = Vec::new();
        while let Some(ended) = attackers.join_next().await {
            answers.extend(ended?.context("an attacker got no answer")?);
        }
        Ok(answers)
    };
    rented.network.inside(attack).await
}
