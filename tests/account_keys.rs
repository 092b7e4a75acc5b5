//! Keys that a plugin names itself, when it was killed: a dead build's goes, and nothing that could be somebody else's.

mod support;

use echora_images::account::BuildId;
use provider_profiles::OwnName;
use serde_json::{Map, json};
use support::account::{Bench, Machine};
use support::rigs::without_plugins;

const FAST: f64 = 1000.0;
/// When the dead build's builder was started, and when another was, an hour later.
const STARTED: i64 = 1_795_000_000;
const LATER: i64 = STARTED + 3600;

/// An account at every provider whose plugin names keys itself.
async fn benches() -> Vec<Bench> {
    let mut benches = Vec::new();
    for rig in without_plugins() {
        let bench = rig.bench(FAST, Machine::Works).await;
        if bench.names_keys_itself() {
            benches.push(bench);
        }
    }
    assert!(!benches.is_empty());
    benches
}

/// A build of this checkout that died after its builder was started.
fn died(bench: &Bench, started: i64) {
    let build = BuildId::new().unwrap();
    let note = json!({"build": build, "provider": bench.id(), "folder": "/nowhere", "builder": started});
    bench.write(&format!("build/under-way/{build}.json"), &note.to_string());
}

/// Registers a key of that name, and returns what the account shows of it.
fn key(bench: &Bench, name: &str) -> String {
    let keys = bench.profile().api.as_ref().unwrap().keys.clone().unwrap();
    let fields = Map::from_iter([(keys.name, json!(name)), ("public_key".into(), json!("ssh-ed25519 AAAA"))]);
    bench.api().add("key", fields).unwrap();
    format!("key {name}")
}

/// The name that a plugin gives at that time.
fn own_name(bench: &Bench, time: i64) -> String {
    let keys = bench.profile().api.as_ref().unwrap().keys.clone().unwrap();
    let Some(OwnName::TimeOrderedUuid { prefix }) = keys.own_name else { panic!("no name of its own") };
    format!("{prefix}{time:08x}-1a2b-3c4d-5e6f-708192a3b4c5")
}

async fn prune(bench: &Bench, arguments: &[&str]) -> String {
    let (status, said) = bench.run(&[&["prune"], arguments].concat()).await;
    assert_eq!(status, Some(0), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_builds_key_goes_and_those_of_others_stay() {
    for bench in benches().await {
        died(&bench, STARTED);
        let ours = key(&bench, &own_name(&bench, STARTED + 3));
        let others = [
            own_name(&bench, STARTED - 1),
            own_name(&bench, STARTED + 600),
            "packer-of-somebody".to_owned(),
            format!("{}-copy", own_name(&bench, STARTED + 3)),
        ];
        let others = others.map(|name| key(&bench, &name));
        let said = prune(&bench, &["--dry-run"]).await;
        assert!(said.contains("would remove SSH key") && bench.left().contains(&ours), "{said}");
        let said = prune(&bench, &[]).await;
        assert_eq!(bench.left(), others.into(), "{said}");
        assert!(said.contains("removed SSH key"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_two_keys_of_the_time_none_goes_and_both_are_named() {
    for bench in benches().await {
        died(&bench, STARTED);
        died(&bench, LATER);
        let clear = key(&bench, &own_name(&bench, LATER));
        let (one, two) = (own_name(&bench, STARTED), own_name(&bench, STARTED + 7));
        let stay = [key(&bench, &one), key(&bench, &two)];
        let said = prune(&bench, &[]).await;
        assert_eq!(bench.left(), stay.into(), "{said}");
        assert!(!bench.left().contains(&clear));
        for name in [one, two] {
            assert!(said.contains(&format!("({name}): it may be")), "{said}");
        }
    }
}

/// Once nothing is left of a dead build, a key of that name is another's, who registered it later.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_build_claims_nothing_after_it_was_swept() {
    for bench in benches().await {
        died(&bench, STARTED);
        key(&bench, &own_name(&bench, STARTED + 3));
        prune(&bench, &[]).await;
        let others = key(&bench, &own_name(&bench, STARTED + 9));
        let said = prune(&bench, &[]).await;
        assert_eq!(bench.left(), [others].into(), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_dead_build_no_key_is_looked_at_twice() {
    for bench in benches().await {
        let stays = key(&bench, &own_name(&bench, STARTED));
        let said = prune(&bench, &["--older-than", "0s"]).await;
        assert_eq!(bench.left(), [stays].into(), "{said}");
        assert!(said.contains("nothing is left over"), "{said}");
    }
}
