//! What keeps a build in an account from starting is told before anything is made there, all of it at once.

mod support;

use provider_profiles::Profile;
use serde_json::{Map, Value, json};
use support::account::{Bench, Machine};
use support::rigs::{READ_ONLY, each, take_listed_rights};

const FAST: f64 = 1000.0;

fn nothing_was_made(bench: &Bench, said: &str) {
    let ledger = bench.api().ledger();
    assert!(ledger.lines.is_empty(), "{}: {:#?}\n{said}", bench.id(), ledger.lines);
    assert!(ledger.strays().is_empty(), "{}: {:#?}", bench.id(), ledger.strays());
    assert!(bench.records().is_empty());
}

/// All of a kind get one field, named by the last key of a place.
fn change(bench: &Bench, kind: &str, place: &str, value: Value) {
    let field = place.rsplit('/').next().unwrap().to_owned();
    bench.api().change(kind, &Map::from_iter([(field, value)])).unwrap();
}

/// An image that no build asks for, in the form of the provider's ids.
fn minix(profile: &Profile) -> Value {
    if profile.default_base().unwrap().image.is_integer() { json!(1) } else { json!("minix") }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_told_apart_that_is_missing_wrong_or_may_only_look() {
    each(|rig| async move {
        let bench = rig.bench(FAST, Machine::Works).await;
        let variable = bench.profile().packer.token.environment.clone();
        let page = &bench.profile().api.as_ref().unwrap().check.token_page;
        for (token, status, holds) in
            [("", 3, "is not set"), ("wrong", 4, "not valid"), (READ_ONLY, 4, "lacks a right")]
        {
            if token == READ_ONLY {
                take_listed_rights(bench.profile(), bench.api());
            }
            let (exit, said) = bench.build_with(&[(&variable, token)]).await;
            assert_eq!(exit, Some(status), "{said}");
            assert!(said.contains(holds) && said.contains(page.as_str()), "{said}");
            assert!(token.is_empty() || !said.contains(token) || token == "wrong", "{said}");
            nothing_was_made(&bench, &said);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_account_and_what_is_not_on_offer_are_refused() {
    each(|rig| async move {
        let api = rig.profile.api.clone().unwrap();
        let check = &api.check;
        let mut cases = vec![
            ("region", check.regions.id.clone(), json!("elsewhere"), "there is no region"),
            ("plan", check.plans.id.clone(), json!("enormous"), "there is no plan"),
            ("image", check.images.id.clone(), minix(&rig.profile), "there is no image"),
        ];
        if let Some(place) = &check.machine_limit {
            cases.push(("account", place.clone(), json!(0), "and 0 are allowed"));
        }
        if let Some(place) = &check.images.disk {
            let disk = json!(9000.0 * check.images.per_gigabyte);
            cases.push(("image", place.clone(), disk, "needs 9000 GB"));
        }
        for (kind, place, value, holds) in cases {
            let bench = rig.bench(FAST, Machine::Works).await;
            change(&bench, kind, &place, value);
            let (exit, said) = bench.build_with(&[]).await;
            assert_eq!(exit, Some(4), "{said}");
            assert!(said.contains(holds), "{said}");
            nothing_was_made(&bench, &said);
        }
    })
    .await;
}

/// Types run out in one region and not in another.
#[tokio::test(flavor = "multi_thread")]
async fn who_chooses_another_region_builds_there() {
    each(|rig| async move {
        let bench = rig.bench(FAST, Machine::Works).await;
        let id = &bench.profile().api.as_ref().unwrap().check.regions.id;
        let seeds = rig.simulator.kinds["region"].seeds.as_ref().unwrap();
        let regions: Vec<Value> = serde_json::from_str(seeds).unwrap();
        let names = regions.iter().filter_map(|region| region.get(id).unwrap_or(&region["id"]).as_str());
        let plan = bench.profile().default_base().unwrap().plan.clone();
        let mut elsewhere = 0;
        // One is enough: each takes a build.
        for region in names.filter(|region| *region != bench.profile().packer.region).chain(["nowhere"]) {
            if elsewhere > 0 && region != "nowhere" {
                continue;
            }
            let (exit, said) = bench.build_at(region, &plan).await;
            if exit == Some(0) {
                assert_eq!(bench.read("placed"), format!("{region} {plan}\n"), "{said}");
                elsewhere += 1;
            } else {
                assert!(
                    exit == Some(4) && said.contains(region) && said.contains("--region"),
                    "{exit:?}: {said}"
                );
            }
        }
        assert!(elsewhere > 0, "{}: no other region has {plan}", bench.id());
        let (exit, said) = bench.build_at(&bench.profile().packer.region, "enormous").await;
        assert!(exit == Some(4) && said.contains("no plan enormous"), "{exit:?}: {said}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_told_at_once_with_its_cure() {
    each(|rig| async move {
        let bench = rig.bench(FAST, Machine::Works).await;
        let check = bench.profile().api.clone().unwrap().check;
        change(&bench, "plan", &check.plans.id, json!("enormous"));
        change(&bench, "image", &check.images.id, minix(bench.profile()));
        bench.remove("target/x86_64-unknown-linux-musl/guest/echora-firstboot");
        let missing = format!("sha256:{}", "1".repeat(64));
        let images = bench.read("images.toml").replacen(&format!("sha256:{}", "0".repeat(64)), &missing, 1);
        bench.write("images.toml", &images);
        let empty = tempfile::tempdir().unwrap();
        // Nothing can be downloaded: nobody listens at the port of the discard service.
        let elsewhere =
            [("PACKER_PLUGIN_PATH", empty.path().to_str().unwrap()), ("HTTPS_PROXY", "http://127.0.0.1:9")];
        let (exit, said) = bench.build_with(&elsewhere).await;
        assert_eq!(exit, Some(3), "{said}");
        for holds in ["make guest", "plugins install", &missing, "no plan", "no image"] {
            assert!(said.contains(holds), "{holds}: {said}");
        }
        let lines = said.lines().filter(|line| line.starts_with("  ") && line.contains("; ")).count();
        assert_eq!(lines, 5, "{said}");
        nothing_was_made(&bench, &said);
    })
    .await;
}
