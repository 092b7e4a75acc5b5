//! The whole way with a provider's own plugin: the generated template as it is, from the order of a machine at the played
//! API to the artifact, and a buyer's machine from it.

mod support;

use std::path::{Path, PathBuf};

use echora_images::record::{Depth, Record, Snapshot};
use serde_json::Value;
use support::depth::with_plugin;
use support::{run, stderr, stdout};

/// Runs the tool and returns its events.
fn events(arguments: &[&str]) -> Vec<Value> {
    let output = run(arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Builds, unless an earlier build of the same inputs serves.
fn build(provider: &str) -> (Record, PathBuf) {
    let events = events(&["build", provider, "--rehearse", "--reuse", "--json"]);
    let result = events.last().expect("the last event is the result");
    Record::read(Path::new(result["record"].as_str().unwrap())).unwrap()
}

/// Which is the first does not matter: all go the same way, and each takes a build and a boot.
#[tokio::test]
async fn a_providers_own_plugin_builds_an_image_that_a_buyer_can_boot() {
    let providers = with_plugin().await;
    for other in &providers[1..] {
        println!("{other}: not tried, that takes long; `make soak` tries it");
    }
    whole_way(&providers[0]);
}

#[tokio::test]
#[ignore = "ten minutes for each provider: make soak"]
async fn the_other_providers_plugins_do_so_too() {
    let providers = with_plugin().await;
    providers[1..].iter().for_each(|provider| whole_way(provider));
}

/// From the order of a machine to a buyer's login.
fn whole_way(provider: &str) {
    let (record, file) = build(provider);
    assert_eq!(record.depth, Depth::Api, "{:?}", record.depth_note);
    assert!(!record.versions.plugin.starts_with("none"), "{}", record.versions.plugin);

    let account = record.account.as_ref().expect("the played account is told");
    let [left] = account.left.as_slice() else { panic!("{provider}: left in the account: {account:?}") };
    let id = left.split(' ').nth(1).unwrap();
    assert!(account.artifact.ends_with(id) && account.requests > 10, "{provider}: {account:?}");
    let log = std::fs::read_to_string(file.with_file_name("build.log")).unwrap();
    let asked = |method: &str| log.lines().any(|line| line.starts_with(&format!("api: {method} ")));
    assert!(asked("POST") && asked("DELETE"), "{provider}: nothing was ordered or given back");
    assert!(!log.contains("noted by the played API"), "{provider}: it asked what the API does not know");
    assert!(record.packages.contains_key("docker.io"), "{provider}: nothing was provisioned");

    let (again, _) = build(provider);
    assert_eq!(again.began, record.began, "{provider}: built again though nothing has changed");

    let Snapshot::Disk { file: disk, .. } = &record.snapshot else { panic!("a rehearsal makes a disk") };
    assert!(file.with_file_name(disk).is_file());
    let login = events(&["boot", file.to_str().unwrap(), "--json"]);
    let login = login.iter().find(|event| event["event"] == "login").expect("a login was printed");
    assert_eq!(login["role"], "owner", "{provider}");
}
