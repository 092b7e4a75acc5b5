//! A build whose snapshot was ordered is not lost with its builder: real Packer and the providers' real plugins against
//! simulated APIs.

mod support;

use echora_rehearsal::api::{Calls, Fault};
use rustix::process::{Pid, Signal, kill_process};
use support::account::{Bench, Machine, Run, until};
use support::rigs::each;

/// Fast enough that all waiting is the plugin's own.
const FAST: f64 = 1000.0;
/// A snapshot takes as many times as long: there is time to die in.
const LONG: f64 = 150.0;
/// A wait that ends before that, and after all that a plugin waits for besides.
const SHORT: &str = "\"5s\"";

fn only_snapshot(bench: &Bench, said: &str) {
    let ledger = bench.api().ledger();
    assert_eq!(ledger.kinds_left(), ["snapshot"], "{}: {:#?}\n{said}", bench.id(), ledger.lines);
    assert!(ledger.strays().is_empty(), "{}: {:#?}", bench.id(), ledger.strays());
    let records = bench.records();
    let [record] = &records[..] else { panic!("{}: {records:#?}\n{said}", bench.id()) };
    let snapshot = ledger.left().next().unwrap();
    assert_eq!(record["build"], snapshot.name.as_str(), "{said}");
    let id = record["snapshot"]["account"]["id"].as_str().unwrap();
    assert_eq!(id.rsplit(':').next(), Some(snapshot.id.as_str()), "{said}");
    // What the machine told before it was turned off.
    assert_eq!(record["packages"], serde_json::json!({"linux": "6"}));
    assert_eq!(record["images"].as_object().unwrap().len(), 3);
    let cost = &record["cost"];
    assert!(
        cost["hourly"].as_f64().unwrap() > 0.0 && cost["hours"].as_f64().unwrap() > 0.0,
        "{cost}\n{said}"
    );
    assert!(record["versions"]["packer"].as_str().is_some_and(|version| !version.is_empty()));
}

/// Starts a build and kills the tool while the snapshot is under way.
async fn killed(bench: &Bench) {
    bench.api().fault(Fault::Longer { what: "snapshot".into(), factor: LONG }).unwrap();
    let build = bench.build();
    until("a snapshot", || bench.kinds_left().contains(&"snapshot".to_owned())).await;
    let said = build.said();
    build.job.kill().await.unwrap();
    assert!(bench.kinds_left().contains(&"machine".to_owned()), "{said}");
    assert!(bench.records().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_was_killed_after_it_ordered_its_snapshot_is_taken_up() {
    each(|rig| async move {
        let bench = rig.bench(FAST, Machine::Works).await;
        killed(&bench).await;
        let (status, said) = bench.run(&["build", bench.id(), "--resume"]).await;
        assert_eq!(status, Some(0), "{said}");
        only_snapshot(&bench, &said);
        // Neither prune nor another try takes it for something of a dead build.
        let (status, said) = bench.run(&["prune", "--older-than", "0s"]).await;
        assert_eq!(status, Some(0), "{said}");
        let (status, said) = bench.run(&["build", bench.id(), "--resume"]).await;
        assert_eq!(status, Some(2), "{said}");
        assert!(said.contains("nothing to resume") && said.contains("hint: "), "{said}");
        only_snapshot(&bench, &said);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_fails_is_told_and_nothing_is_left() {
    each(|rig| async move {
        let bench = rig.bench(FAST, Machine::Works).await;
        bench.api().fault(Fault::Fails { what: "snapshot".into() }).unwrap();
        killed(&bench).await;
        let (status, said) = bench.run(&["build", bench.id(), "--resume"]).await;
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains("did not make the snapshot") && said.contains("hint: "), "{said}");
        let ledger = bench.api().ledger();
        assert!(ledger.kinds_left().is_empty() && bench.records().is_empty(), "{:#?}\n{said}", ledger.lines);
        assert!(ledger.hourly().abs() < f64::EPSILON, "{said}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_ordered_no_snapshot_is_not_taken_up() {
    each(|rig| async move {
        let bench = rig.bench(FAST, Machine::Works).await;
        bench.api().fault(Fault::Never { what: "boot".into() }).unwrap();
        let build = bench.build();
        until("a machine", || bench.kinds_left().contains(&"machine".to_owned())).await;
        build.job.kill().await.unwrap();
        let (status, said) = bench.run(&["build", bench.id(), "--resume"]).await;
        assert_eq!(status, Some(2), "{said}");
        assert!(said.contains("nothing to resume") && said.contains("hint: "), "{said}");
        let (status, said) = bench.run(&["prune"]).await;
        assert_eq!((status, bench.kinds_left()), (Some(0), Vec::<String>::new()), "{said}");
    })
    .await;
}

/// A build whose plugin has died while the snapshot is under way.
async fn given_up(bench: &Bench) -> Run {
    bench.api().fault(Fault::Longer { what: "snapshot".into(), factor: LONG }).unwrap();
    let build = bench.build();
    until("a snapshot", || bench.kinds_left().contains(&"snapshot".to_owned())).await;
    for id in bench.plugins() {
        let _ = kill_process(Pid::from_raw(id).unwrap(), Signal::KILL);
    }
    build
}

/// The tool waits on by itself. What its plugin's clean-up could not remove by then is there until the snapshot is done.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_takes_longer_than_the_plugins_own_wait_is_waited_for() {
    each(|rig| async move {
        let bench = rig.bench(FAST, Machine::Works).await;
        let mut build = if let Some(wait) = &rig.simulator.plugin.snapshot_wait {
            bench.set(wait, SHORT);
            bench.api().fault(Fault::Longer { what: "snapshot".into(), factor: LONG }).unwrap();
            bench.build()
        } else {
            println!("{}: its plugin waits as long as a snapshot takes, and is killed instead", bench.id());
            given_up(&bench).await
        };
        assert_eq!(build.status().await, Some(0), "{}", build.said());
        assert!(build.said().contains("waiting for it"), "{}", build.said());
        only_snapshot(&bench, &build.said());
    })
    .await;
}

/// Whoever does not want to wait wants nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_while_the_tool_waits_for_the_snapshot_leaves_nothing() {
    each(|rig| async move {
        let bench = rig.bench(FAST, Machine::Works).await;
        let mut build = given_up(&bench).await;
        until("the wait", || build.said().contains("waiting for it")).await;
        build.job.interrupt();
        assert_eq!(build.status().await, Some(130), "{}", build.said());
        let ledger = bench.api().ledger();
        assert!(ledger.kinds_left().is_empty(), "{:#?}\n{}", ledger.lines, build.said());
        assert!(bench.records().is_empty(), "{}", build.said());
    })
    .await;
}

/// A token that is taken away does not make the snapshot unwanted.
#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_fails_says_how_to_go_on() {
    each(|rig| async move {
        let bench = rig.bench(FAST, Machine::Works).await;
        let mut build = given_up(&bench).await;
        until("the wait", || build.said().contains("waiting for it")).await;
        let calls = Calls { method: None, path: String::new(), after: 0, times: u32::MAX };
        bench.api().fault(Fault::Error { error: "unauthorized".into(), calls }).unwrap();
        assert_eq!(build.status().await, Some(4), "{}", build.said());
        assert!(build.said().contains("--resume` waits on"), "{}", build.said());
        assert!(build.said().contains("may hold what the build made"), "{}", build.said());
        bench.api().heal();
        let (status, said) = bench.run(&["build", bench.id(), "--resume"]).await;
        assert_eq!(status, Some(0), "{said}");
        only_snapshot(&bench, &said);
    })
    .await;
}
