//! A flood of logins on the smallest machine: whoever asks needs no account, and each login takes 19 MiB and a processor.

mod support;

use std::time::Duration;

use support::cell::Rented;
use support::flood::{ATTACKERS, HEALTH, WELL, flood};

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

#[tokio::test]
async fn a_flood_of_logins_ends_nothing_within_a_gigabyte() {
    let mut rented = Rented::make().await;
    rented.cell.put("etc/systemd/system/echora-firstboot.service.d/hold.conf", HOLD, 0o644).unwrap();
    rented.cell.limit_memory(MACHINE);
    rented.start().await;
    rented.cell.settled(support::cell::BOOT).await.unwrap();
    rented.cell.inside(TELL_LIMIT).await.unwrap();
    let login = rented.login(0).await;
    let before = app(&rented);

    let answers = flood(&rented.network, &login, REPLY).await.unwrap();

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
    assert_eq!(rented.cell.inside(HEALTH).await.unwrap(), WELL);
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
