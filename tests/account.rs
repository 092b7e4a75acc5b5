//! Builds in accounts, by real Packer and the providers' real plugins against simulated APIs: whatever becomes of a build,
//! the account holds its snapshot at most, and what others have there stays.

mod support;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use echora_rehearsal::api::{Calls, Fault};
use rustix::process::{Pid, Signal, kill_process};
use support::account::{Bench, DEADLINE, Machine, until};
use support::rigs::{Rig, each};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Fast enough that all waiting is the plugin's own.
const FAST: f64 = 1000.0;
const MOMENTS: usize = 20;
/// How many times as long a snapshot takes where a signal is to meet it: seconds.
const SLOWER: f64 = 30.0;
/// Builds that run side by side: nearly all of each is waiting.
const MOST_ABREAST: usize = 12;

/// A row for people: what a build made before it ended so, what is left of it and what that costs an hour.
fn print_ledger(bench: &Bench, after: &str) {
    let ledger = bench.api().ledger();
    let (made, left) = (ledger.lines.len(), ledger.kinds_left());
    println!(
        "ledger | {} | {after} | {made} made | left: {left:?} | {} an hour",
        bench.id(),
        ledger.hourly()
    );
}

fn nothing_is_left(bench: &Bench, after: &str, said: &str) {
    print_ledger(bench, after);
    let ledger = bench.api().ledger();
    assert!(ledger.kinds_left().is_empty(), "{}: {:#?}\n{said}", bench.id(), ledger.lines);
    assert!(ledger.hourly().abs() < f64::EPSILON, "{}", bench.id());
    assert!(ledger.strays().is_empty(), "{}: {:#?}", bench.id(), ledger.strays());
}

fn all_calls(times: u32) -> Calls {
    Calls { method: None, path: String::new(), after: 0, times }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_leaves_its_snapshot_and_a_record_of_it() {
    each(|rig| async move {
        let bench = rig.bench(FAST, Machine::Works).await;
        let mut build = bench.build();
        assert_eq!(build.status().await, Some(0), "{}", build.said());
        print_ledger(&bench, "success");
        let ledger = bench.api().ledger();
        assert_eq!(ledger.kinds_left(), ["snapshot"], "{:#?}", ledger.lines);
        assert!(ledger.strays().is_empty(), "{:#?}", ledger.strays());
        let records = bench.records();
        let [record] = &records[..] else { panic!("{records:#?}") };
        let snapshot = ledger.left().next().unwrap();
        assert_eq!(record["build"], snapshot.name.as_str());
        let id = record["snapshot"]["account"]["id"].as_str().unwrap();
        assert_eq!(id.rsplit(':').next(), Some(snapshot.id.as_str()));
        // Looking for leftovers takes nothing from a build that is done.
        let (status, said) = bench.run(&["prune", "--older-than", "0s"]).await;
        assert_eq!((status, bench.kinds_left()), (Some(0), vec!["snapshot".to_owned()]), "{said}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_provisioner_leaves_nothing() {
    each(|rig| async move {
        let bench = rig.bench(FAST, Machine::Fails).await;
        let mut build = bench.build();
        assert_eq!(build.status().await, Some(1), "{}", build.said());
        assert!(build.said().contains("it fails"), "{}", build.said());
        nothing_is_left(&bench, "a failing provisioner", &build.said());
        assert!(bench.records().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_dies_leaves_nothing() {
    each(|rig| async move {
        let bench = rig.bench(FAST, Machine::Works).await;
        bench.api().fault(Fault::Never { what: "boot".into() }).unwrap();
        let mut build = bench.build();
        until("a machine", || bench.kinds_left().contains(&"machine".to_owned())).await;
        let plugins = bench.plugins();
        assert!(!plugins.is_empty(), "{}", build.said());
        for id in plugins {
            let _ = kill_process(Pid::from_raw(id).unwrap(), Signal::KILL);
        }
        assert_eq!(build.status().await, Some(1), "{}", build.said());
        nothing_is_left(&bench, "a plugin that died", &build.said());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_network_leaves_nothing_once_it_is_back() {
    each(|rig| async move {
        let bench = rig.bench(FAST, Machine::Works).await;
        bench.api().fault(Fault::Never { what: "boot".into() }).unwrap();
        let mut build = bench.build();
        until("a machine", || bench.kinds_left().contains(&"machine".to_owned())).await;
        bench.api().fault(Fault::Cut { calls: all_calls(u32::MAX) }).unwrap();
        until("the plugin's end", || bench.plugins().is_empty()).await;
        bench.api().heal();
        assert_eq!(build.status().await, Some(1), "{}", build.said());
        nothing_is_left(&bench, "a cut network", &build.said());
    })
    .await;
}

/// The moments are drawn, one from each twentieth of the conversation. In every other build the snapshot takes so long that some
/// of them fall into it.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_at_any_moment_leaves_nothing() {
    static ABREAST: Semaphore = Semaphore::const_new(MOST_ABREAST);
    each(|rig| async move {
        let whole = rig.bench(FAST, Machine::Works).await;
        assert_eq!(whole.build().status().await, Some(0));
        let calls = whole.api().ledger().asked.len();
        let mut tries = JoinSet::new();
        for n in 0..MOMENTS {
            let (from, to) = (n * calls / MOMENTS, (n + 1) * calls / MOMENTS);
            let (moment, factor) =
                (from + random() % (to - from).max(1), if n % 2 == 0 { 1.0 } else { SLOWER });
            let rig = rig.clone();
            tries.spawn(async move {
                let _turn = ABREAST.acquire().await.unwrap();
                interrupted_at(&rig, moment, factor).await
            });
        }
        let interrupted = tries.join_all().await.into_iter().filter(|interrupted| *interrupted).count();
        let id = &rig.profile.id;
        println!("{id}: {interrupted} of {MOMENTS} builds were interrupted, the others had ended");
        assert!(interrupted > MOMENTS / 2, "{id}: {interrupted}");
    })
    .await;
}

fn random() -> usize {
    usize::try_from(RandomState::new().build_hasher().finish() >> 33).unwrap()
}

/// Whether a build was interrupted after so many calls; the last may all be made before the signal is seen.
async fn interrupted_at(rig: &Rig, moment: usize, factor: f64) -> bool {
    let bench = rig.bench(FAST, Machine::Works).await;
    bench.api().fault(Fault::Longer { what: "snapshot".into(), factor }).unwrap();
    let mut build = bench.build();
    let asked = || bench.api().ledger().asked.len();
    // How often a plugin asks depends on how fast it is: this build may come to its end with fewer calls than the first.
    until("the moment", || build.ended() || (asked() >= moment && !build.said().is_empty())).await;
    build.job.interrupt();
    let (status, said) = (build.status().await, build.said());
    if status == Some(0) {
        assert_eq!(bench.kinds_left(), ["snapshot"], "{}, call {moment}: {said}", bench.id());
        return false;
    }
    assert_eq!(status, Some(130), "{}, call {moment}: {said}", bench.id());
    nothing_is_left(&bench, &format!("SIGINT after call {moment}"), &said);
    assert!(bench.records().is_empty(), "{}, call {moment}", bench.id());
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_interrupt_says_what_is_left_and_the_next_build_removes_it() {
    each(|rig| async move {
        let bench = rig.bench(FAST, Machine::Fails).await;
        bench.api().fault(Fault::Never { what: "boot".into() }).unwrap();
        let mut build = bench.build();
        until("a machine", || bench.kinds_left().contains(&"machine".to_owned())).await;
        // Nothing is deleted from now on, so that there is time to be impatient.
        let calls = Calls { method: Some("DELETE".into()), path: String::new(), after: 0, times: u32::MAX };
        bench.api().fault(Fault::Error { error: "invalid".into(), calls }).unwrap();
        build.job.interrupt();
        until("the first request to be seen", || build.said().contains("interrupted; ")).await;
        build.job.interrupt();
        assert_eq!(build.status().await, Some(130), "{}", build.said());
        let ledger = bench.api().ledger();
        let machine = ledger.left().find(|line| line.kind == "machine");
        let machine = machine.unwrap_or_else(|| panic!("no machine is left: {}", build.said()));
        let named = format!("machine {} ({})", machine.id, machine.name);
        assert!(build.said().contains(&named), "{named}: {}", build.said());
        assert!(build.said().contains("prune --provider"), "{}", build.said());
        bench.api().heal();
        let (_, said) =
            bench.run(&["build", bench.id(), "--images", "images.toml", "--frontend", "frontend"]).await;
        nothing_is_left(&bench, "a second SIGINT and the next build", &said);
    })
    .await;
}

/// The shell says so to its jobs, and the kernel says it again. A machine stays as long as its snapshot is being made at some
/// providers, and the snapshot comes to light when it is done.
#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_hangs_up_while_the_snapshot_is_being_made_lets_the_build_clean_up() {
    each(|rig| async move {
        let bench = rig.bench(FAST, Machine::Works).await;
        bench.api().fault(Fault::Longer { what: "snapshot".into(), factor: 60.0 }).unwrap();
        let mut build = bench.build();
        until("a snapshot", || bench.kinds_left().contains(&"snapshot".to_owned())).await;
        let tool = Pid::from_raw(i32::try_from(build.job.id().unwrap()).unwrap()).unwrap();
        kill_process(tool, Signal::HUP).unwrap();
        until("the request to be seen", || build.said().contains("interrupted; ")).await;
        kill_process(tool, Signal::HUP).unwrap();
        // Nor does it depend on the plugin's own clean-up.
        for id in bench.plugins() {
            let _ = kill_process(Pid::from_raw(id).unwrap(), Signal::KILL);
        }
        assert_eq!(build.status().await, Some(130), "{}", build.said());
        nothing_is_left(&bench, "a terminal that hung up", &build.said());
        assert!(bench.records().is_empty(), "{}", build.said());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_build_leaves_is_pruned_and_what_others_have_stays() {
    each(|rig| async move {
        let bench = rig.bench(FAST, Machine::Works).await;
        let others = bench.of_somebody_else().await;
        let before = bench.left();
        bench.api().fault(Fault::Never { what: "boot".into() }).unwrap();
        let build = bench.build();
        until("a machine", || bench.kinds_left().iter().filter(|kind| *kind == "machine").count() > others)
            .await;
        build.job.kill().await.unwrap();
        assert!(bench.left().len() > before.len(), "{:?}", bench.left());
        let (status, said) = bench.run(&["prune", "--dry-run"]).await;
        assert_eq!(status, Some(0), "{said}");
        assert!(said.contains("would remove machine") && bench.left().len() > before.len(), "{said}");
        let (status, said) = bench.run(&["prune", "--json"]).await;
        assert_eq!((status, bench.left()), (Some(0), before), "{said}");
        assert!(said.contains(r#""event":"removed""#), "{said}");
        assert!(bench.api().ledger().strays().is_empty());
    })
    .await;
}

/// Some accounts list a snapshot only when it is done, and it is done whether or not anybody still wants it.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_comes_to_light_after_its_build_is_removed_too() {
    each(|rig| async move {
        let bench = rig.bench(FAST, Machine::Works).await;
        bench.api().fault(Fault::Longer { what: "snapshot".into(), factor: 150.0 }).unwrap();
        let build = bench.build();
        until("a snapshot", || bench.kinds_left().contains(&"snapshot".to_owned())).await;
        build.job.kill().await.unwrap();
        let end = std::time::Instant::now() + DEADLINE;
        while !bench.kinds_left().is_empty() {
            assert!(std::time::Instant::now() < end, "{:?}", bench.left());
            let (status, said) = bench.run(&["prune"]).await;
            assert_eq!(status, Some(0), "{said}");
        }
        nothing_is_left(&bench, "SIGKILL in the snapshot and prune", "");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_elsewhere_is_left_alone_until_it_is_old() {
    each(|rig| async move {
        let (bench, elsewhere) =
            (rig.bench(FAST, Machine::Works).await, rig.bench(FAST, Machine::Works).await);
        bench.api().fault(Fault::Never { what: "boot".into() }).unwrap();
        let build = bench.build();
        until("a machine", || bench.kinds_left().contains(&"machine".to_owned())).await;
        for arguments in [&["prune"][..], &["prune", "--older-than", "1h"]] {
            let (status, said) = elsewhere.run_at(&bench, arguments).await;
            assert_eq!(status, Some(0), "{said}");
            assert!(bench.kinds_left().contains(&"machine".to_owned()), "{said}");
        }
        // Not even this age takes away what this checkout is building.
        let (_, said) = bench.run(&["prune", "--older-than", "0s"]).await;
        assert!(bench.kinds_left().contains(&"machine".to_owned()), "{said}");
        build.job.kill().await.unwrap();
        until("the second to be over", || elsewhere_is_older(&bench)).await;
        let (status, said) = elsewhere.run_at(&bench, &["prune", "--older-than", "0s"]).await;
        assert_eq!(status, Some(0), "{said}");
        if bench.names_keys_itself() {
            // Only the checkout that built knows whose it is; the plugin itself may still be there to remove it.
            assert!(bench.kinds_left().iter().all(|kind| kind == "key"), "{:?}", bench.left());
            bench.run(&["prune"]).await;
        }
        nothing_is_left(&bench, "SIGKILL and prune elsewhere", &said);
    })
    .await;
}

/// A build's age is told in whole seconds.
fn elsewhere_is_older(bench: &Bench) -> bool {
    let held = bench.left().into_iter().filter_map(|line| {
        echora_images::account::BuildId::read(line.split(' ').next_back().unwrap_or_default())
    });
    held.into_iter().all(|build| build.age() > Duration::from_secs(1))
}
