//! Several builds side by side, and what becomes of their snapshots.

mod support;

use echora_images::account::BuildId;
use serde_json::Value;
use support::account::{Bench, Machine};
use support::rigs::each;

const FAST: f64 = 1000.0;
const GIVEN: [&str; 4] = ["--images", "images.toml", "--frontend", "frontend"];

/// The names of our builds' snapshots in the account, oldest first.
fn snapshots(bench: &Bench) -> Vec<String> {
    let names = bench.left().into_iter().filter_map(|line| line.strip_prefix("snapshot ").map(str::to_owned));
    names.filter(|name| BuildId::read(name).is_some()).collect()
}

fn no_listing(bench: &Bench) -> String {
    format!("[{}]\nuses = []\n", bench.id())
}

async fn build_keeping(bench: &Bench, count: &str) -> String {
    let (status, said) =
        bench.run(&[&["build", bench.id(), "--keep-last", count], &GIVEN[..]].concat()).await;
    assert_eq!(status, Some(0), "{said}");
    snapshots(bench).pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn old_snapshots_go_when_asked_but_none_that_a_listing_uses() {
    each(|rig| async move {
        let bench = rig.bench(FAST, Machine::Works).await;
        bench.of_somebody_else().await;
        let others = bench.left();
        // What a listing uses must be told first, also that it uses nothing.
        let refused = bench.run(&[&["build", bench.id(), "--keep-last", "2"], &GIVEN[..]].concat()).await;
        assert!(refused.0 == Some(2) && refused.1.contains("listings.toml"), "{}", refused.1);
        bench.write("listings.toml", &no_listing(&bench));
        let first = build_keeping(&bench, "2").await;
        let second = build_keeping(&bench, "1").await;
        assert!(!bench.left().contains(&format!("snapshot {first}")), "{:?}", bench.left());
        bench.write("listings.toml", &format!("[{}]\nuses = [\"{second}\"]\n", bench.id()));
        let third = build_keeping(&bench, "1").await;
        assert!(bench.left().is_superset(&others), "{:?}", bench.left());
        assert!(
            snapshots(&bench).contains(&second) && snapshots(&bench).contains(&third),
            "{:?}",
            bench.left()
        );

        let (status, said) = bench.run(&["images", "list", "--json", "--provider", bench.id()]).await;
        assert_eq!(status, Some(0), "{said}");
        let list: Vec<Value> = serde_json::from_str(&said).unwrap();
        let told: Vec<_> = list
            .iter()
            .map(|image| {
                (image["build"].as_str().unwrap(), image["listed"] == true, image["held"].is_object())
            })
            .collect();
        let (first, second, third) = (first.as_str(), second.as_str(), third.as_str());
        assert_eq!(told, [(first, false, false), (second, true, true), (third, false, true)]);
        assert!(list.iter().all(|image| image["record"]["cost"]["hourly"].as_f64().unwrap() > 0.0), "{said}");

        let (status, said) = bench.run(&["images", "show", third, "--provider", bench.id()]).await;
        assert_eq!(status, Some(0), "{said}");
        let shown: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(
            (&shown["build"], &shown["record"]["packages"]["linux"]),
            (&third.into(), &"6".into()),
            "{said}"
        );

        for (image, status, holds) in [
            (second, 2, "a listing uses"),
            (first, 2, "no account"),
            ("production", 2, "no image"),
            (third, 0, "deleted"),
        ] {
            let (exit, said) = bench.run(&["images", "delete", image, "--provider", bench.id()]).await;
            assert_eq!(exit, Some(status), "{image}: {said}");
            assert!(said.contains(holds), "{image}: {said}");
        }
        assert!(!snapshots(&bench).contains(&third.to_owned()) && bench.left().is_superset(&others));
        assert!(bench.api().ledger().strays().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_listings_keep_everything() {
    each(|rig| async move {
        let bench = rig.bench(FAST, Machine::Works).await;
        bench.write("listings.toml", &no_listing(&bench));
        let first = build_keeping(&bench, "1").await;
        bench.write("listings.toml", "uses = 3");
        let (status, said) =
            bench.run(&[&["build", bench.id(), "--keep-last", "1"], &GIVEN[..]].concat()).await;
        assert_eq!(status, Some(2), "{said}");
        assert!(snapshots(&bench).contains(&first) && said.contains("listings.toml"), "{said}");
    })
    .await;
}

/// The others have no token here.
#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_cannot_start_leaves_the_others_alone() {
    each(|rig| async move {
        let bench = rig.bench(FAST, Machine::Works).await;
        let (status, said) = bench.run(&[&["build", "--all", "--json"], &GIVEN[..]].concat()).await;
        assert_eq!(status, Some(3), "{said}");
        let result = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let result = result.into_iter().find(|event| event["event"] == "result").unwrap();
        let builds = result["builds"].as_array().unwrap();
        assert!(builds.len() > 1, "{said}");
        for build in builds {
            assert_eq!(build["failed"], build["provider"] != bench.id(), "{said}");
        }
        assert_eq!(bench.kinds_left(), ["snapshot"], "{said}");
        assert!(said.contains(&format!("{} of {} builds failed", builds.len() - 1, builds.len())), "{said}");
    })
    .await;
}
