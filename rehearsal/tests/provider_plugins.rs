//! The providers' own Packer plugins against the simulators: from `packer build` to the artifact, with the source block
//! that is generated for production, and what is left of a build that ends otherwise. Without a machine: what happens
//! on one is told by the tests of virtual machines.

mod plugins;

use std::time::Duration;

use echora_rehearsal::api::{Calls, Fault};
use plugins::{Build, rigs};
use rustix::process::Signal;

/// A build polls its provider every few seconds and shares two processors with others.
const DEADLINE: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread")]
async fn a_build_leaves_its_snapshot_and_nothing_else() {
    for rig in rigs().await {
        let api = rig.simulator().await;
        let mut build = Build::start(&rig, &api);
        assert_eq!(build.status(DEADLINE).await, Some(0), "{}: {}", rig.id, build.log());
        let ledger = api.ledger();
        assert_eq!(ledger.kinds_left(), ["snapshot"], "{}: {:#?}", rig.id, ledger.lines);
        assert!(ledger.strays().is_empty(), "{}: {:#?}", rig.id, ledger.strays());
        let snapshot = ledger.left().next().unwrap();
        let artifact = build.artifact();
        assert_eq!(artifact.rsplit(':').next(), Some(snapshot.id.as_str()), "{}: {artifact}", rig.id);
        assert_eq!(snapshot.name, plugins::SNAPSHOT, "{}", rig.id);
        assert!(ledger.hourly() < 0.001, "{}: a snapshot costs {} an hour", rig.id, ledger.hourly());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_build_leaves_is_in_the_ledger() {
    for rig in rigs().await {
        let api = rig.simulator().await;
        // It waits for its machine when it is killed.
        api.fault(Fault::Never { what: "boot".into() }).unwrap();
        let build = Build::start(&rig, &api);
        build.until(DEADLINE, || api.ledger().kinds_left().contains(&"machine")).await;
        build.kill().await;
        let asked = api.ledger().asked.len();
        let ledger = api.ledger();
        assert_eq!(ledger.kinds_left(), ["key", "machine"], "{}: {:#?}", rig.id, ledger.lines);
        assert!(ledger.hourly() > 0.001, "{}: {} an hour", rig.id, ledger.hourly());
        assert_eq!(ledger.asked.len(), asked, "{}: somebody goes on asking", rig.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_build_takes_everything_away() {
    for rig in rigs().await {
        let api = rig.simulator().await;
        api.fault(Fault::Longer { what: "boot".into(), factor: 100.0 }).unwrap();
        let mut build = Build::start(&rig, &api);
        build.until(DEADLINE, || api.ledger().kinds_left().contains(&"machine")).await;
        build.signal(Signal::INT);
        assert_ne!(build.status(DEADLINE).await, Some(0), "{}: {}", rig.id, build.log());
        let ledger = api.ledger();
        assert!(ledger.kinds_left().is_empty(), "{}: {:#?}", rig.id, ledger.lines);
        assert!(ledger.hourly().abs() < f64::EPSILON, "{}", rig.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_survives_a_burst_of_errors() {
    for rig in rigs().await {
        let api = rig.simulator().await;
        let calls =
            |after: u32, times: u32| Calls { method: Some("GET".into()), path: String::new(), after, times };
        api.fault(Fault::Error { error: "broken".into(), calls: calls(1, 2) }).unwrap();
        api.fault(Fault::Error { error: "unavailable".into(), calls: calls(3, 1) }).unwrap();
        api.fault(Fault::Error { error: "too_many".into(), calls: calls(4, 1) }).unwrap();
        let mut build = Build::start(&rig, &api);
        assert_eq!(build.status(DEADLINE).await, Some(0), "{}: {}", rig.id, build.log());
        let asked = api.ledger().asked;
        let failed: Vec<u16> = asked.iter().map(|a| a.status).filter(|status| *status >= 429).collect();
        assert_eq!(failed.len(), 4, "{}: {failed:?}", rig.id);
        assert_eq!(api.ledger().kinds_left(), ["snapshot"], "{}", rig.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_order_ends_the_build_and_leaves_nothing() {
    for rig in rigs().await {
        let api = rig.simulator().await;
        let mut build = Build::start(&rig.in_region("nowhere"), &api);
        assert_eq!(build.status(DEADLINE).await, Some(1), "{}: {}", rig.id, build.log());
        let ledger = api.ledger();
        assert!(ledger.kinds_left().is_empty(), "{}: {:#?}", rig.id, ledger.lines);
        assert!(
            build.log().to_lowercase().contains("region") || build.log().to_lowercase().contains("location"),
            "{}",
            build.log()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_fails_on_the_way_leaves_nothing() {
    for rig in rigs().await {
        let (api, gone) = (rig.simulator().await, rig.simulator().await);
        let get = |after: u32| Calls { method: Some("GET".into()), path: String::new(), after, times: 1 };
        api.fault(Fault::Cut { calls: get(2) }).unwrap();
        gone.fault(Fault::Vanish { kind: "machine".into(), calls: get(2) }).unwrap();
        let mut builds = [(Build::start(&rig, &api), api), (Build::start(&rig, &gone), gone)];
        for (build, api) in &mut builds {
            assert_eq!(build.status(DEADLINE).await, Some(1), "{}: {}", rig.id, build.log());
            let ledger = api.ledger();
            assert!(ledger.kinds_left().is_empty(), "{}: {:#?}", rig.id, ledger.lines);
        }
    }
}
