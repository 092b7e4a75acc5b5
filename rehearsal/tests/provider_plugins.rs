//! The providers' own Packer plugins against the simulators: from `packer build` to the artifact, with the source block
//! that is generated for production, and what is left of a build that ends otherwise. Without a machine: what happens
//! on one is told by the tests of virtual machines.

mod plugins;

use std::time::Duration;

use echora_rehearsal::api::{Calls, Fault, Ledger};
use plugins::{Build, Rig, each};
use rustix::process::Signal;

/// A build polls its provider every few seconds and shares two processors with others.
const DEADLINE: Duration = Duration::from_secs(180);

/// What there is of a build, besides a key where the plugin makes one.
fn without_keys(ledger: &Ledger) -> Vec<&str> {
    ledger.kinds_left().into_iter().filter(|kind| *kind != "key").collect()
}

fn gets(after: u32, times: u32) -> Calls {
    Calls { method: Some("GET".into()), path: String::new(), after, times }
}

/// Nothing is left of a build that ended before its machine had booted but what this plugin is known to leave.
fn assert_tidy(rig: &Rig, ledger: &Ledger) {
    assert_eq!(ledger.kinds_left(), rig.conduct().leaves, "{}: {:#?}", rig.id, ledger.lines);
    assert_eq!(ledger.hourly() > 0.001, !rig.conduct().leaves.is_empty(), "{}", rig.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_leaves_its_snapshot_and_nothing_else() {
    each(|rig| async move {
        let played = rig.simulator().await;
        let mut build = Build::start(rig, &played);
        assert_eq!(build.status(DEADLINE).await, Some(0), "{}: {}", rig.id, build.log());
        let ledger = played.api().ledger();
        assert_eq!(ledger.kinds_left(), ["snapshot"], "{}: {:#?}", rig.id, ledger.lines);
        assert!(ledger.strays().is_empty(), "{}: {:#?}", rig.id, ledger.strays());
        let snapshot = ledger.left().next().unwrap();
        let artifact = build.artifact();
        assert_eq!(artifact.rsplit(':').next(), Some(snapshot.id.as_str()), "{}: {artifact}", rig.id);
        assert_eq!(snapshot.name, plugins::SNAPSHOT, "{}", rig.id);
        assert!(ledger.hourly() < 0.001, "{}: a snapshot costs {} an hour", rig.id, ledger.hourly());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_build_leaves_is_in_the_ledger() {
    each(|rig| async move {
        let played = rig.simulator().await;
        let api = played.api();
        // It waits for its machine when it is killed.
        api.fault(Fault::Never { what: "boot".into() }).unwrap();
        let build = Build::start(rig, &played);
        build.until(DEADLINE, || api.ledger().kinds_left().contains(&"machine")).await;
        build.kill().await;
        let ledger = api.ledger();
        assert_eq!(without_keys(&ledger), ["machine"], "{}: {:#?}", rig.id, ledger.lines);
        assert!(ledger.hourly() > 0.001, "{}: {} an hour", rig.id, ledger.hourly());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_build_takes_everything_away_that_its_plugin_knows_of() {
    each(|rig| async move {
        let played = rig.simulator().await;
        let api = played.api();
        api.fault(Fault::Longer { what: "boot".into(), factor: 100.0 }).unwrap();
        let mut build = Build::start(rig, &played);
        build.until_it_knows_its_machine(DEADLINE, api).await;
        build.signal(Signal::INT);
        assert_ne!(build.status(DEADLINE).await, Some(0), "{}: {}", rig.id, build.log());
        // Whoever does not heed an interrupt while it waits for its machine has that by then.
        let ledger = api.ledger();
        assert!(ledger.kinds_left().is_empty(), "{}: {:#?}", rig.id, ledger.lines);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_survives_the_errors_after_which_its_plugin_asks_again() {
    each(|rig| async move {
        let played = rig.simulator().await;
        let api = played.api();
        let errors = &rig.conduct().asks_again;
        assert!(!errors.is_empty(), "{}: its plugin survives no error", rig.id);
        for (after, error) in (1..).zip(errors) {
            api.fault(Fault::Error { error: error.clone(), calls: gets(after, 1) }).unwrap();
        }
        let mut build = Build::start(rig, &played);
        assert_eq!(build.status(DEADLINE).await, Some(0), "{}: {}", rig.id, build.log());
        let asked = api.ledger().asked;
        let failed: Vec<u16> = asked.iter().map(|a| a.status).filter(|status| *status >= 429).collect();
        assert_eq!(failed.len(), errors.len(), "{}: {failed:?}", rig.id);
        assert_eq!(api.ledger().kinds_left(), ["snapshot"], "{}", rig.id);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_order_ends_the_build_and_leaves_nothing() {
    each(|rig| async move {
        let played = rig.simulator().await;
        let mut build = Build::start(&rig.in_region("nowhere"), &played);
        assert_eq!(build.status(DEADLINE).await, Some(1), "{}: {}", rig.id, build.log());
        let ledger = played.api().ledger();
        assert!(ledger.kinds_left().is_empty(), "{}: {:#?}", rig.id, ledger.lines);
        let log = build.log().to_lowercase();
        assert!(log.contains("region") || log.contains("location"), "{}: {log}", rig.id);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_fails_on_the_way_leaves_what_its_plugin_does_not_know_of() {
    each(|rig| async move {
        let (cut, gone) = (rig.simulator().await, rig.simulator().await);
        cut.api().fault(Fault::Never { what: "boot".into() }).unwrap();
        // What was ordered ends for whoever waits for that and not for the machine.
        gone.api().fault(Fault::Longer { what: "boot".into(), factor: 200.0 }).unwrap();
        let mut builds = [Build::start(rig, &cut), Build::start(rig, &gone)];
        builds[0].until_it_knows_its_machine(DEADLINE, cut.api()).await;
        cut.api().fault(Fault::Cut { calls: gets(0, 1) }).unwrap();
        builds[1].until_it_knows_its_machine(DEADLINE, gone.api()).await;
        gone.api().fault(Fault::Vanish { kind: "machine".into(), calls: gets(0, 1) }).unwrap();
        for build in &mut builds {
            assert_eq!(build.status(DEADLINE).await, Some(1), "{}: {}", rig.id, build.log());
        }
        assert_tidy(rig, &cut.api().ledger());
        let ledger = gone.api().ledger();
        assert!(ledger.kinds_left().is_empty(), "{}: {:#?}", rig.id, ledger.lines);
    })
    .await;
}
