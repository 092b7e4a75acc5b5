//! What keeps a build in an account from starting is told before anything is made there, all of it at once.

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use provider_profiles::{Architecture, Profile};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use support::account::{Bench, Machine, STRANGE};
use support::rigs::{READ_ONLY, each, take_listed_rights, without_plugins};

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
        let there = format!("sha256:{}", "0".repeat(64));
        let images = bench.read("images.toml").replacen(&there, &missing, 1).replacen(&there, STRANGE, 1);
        bench.write("images.toml", &images);
        let empty = tempfile::tempdir().unwrap();
        // Nothing can be downloaded: nobody listens at the port of the discard service.
        let elsewhere =
            [("PACKER_PLUGIN_PATH", empty.path().to_str().unwrap()), ("HTTPS_PROXY", "http://127.0.0.1:9")];
        let (exit, said) = bench.build_with(&elsewhere).await;
        assert_eq!(exit, Some(3), "{said}");
        let strange = "none for linux/amd64, only for: s390x";
        for holds in ["make guest", "plugins install", &missing, strange, "no plan", "no image"] {
            assert!(said.contains(holds), "{holds}: {said}");
        }
        let lines = said.lines().filter(|line| line.starts_with("  ") && line.contains("; ")).count();
        assert_eq!(lines, 6, "{said}");
        nothing_was_made(&bench, &said);
    })
    .await;
}

/// A plan is the user's own choice; its machine would be paid for and could not run the image.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_for_another_processor_is_told() {
    let mut tried = 0;
    // What has no Packer here is told besides.
    for rig in without_plugins() {
        let bases: Vec<_> = rig.profile.default_bases().cloned().collect();
        let Some(arm) = bases.iter().find(|base| base.architecture == Architecture::Aarch64) else {
            continue;
        };
        let bench = rig.bench(FAST, Machine::Works).await;
        let other = bases.iter().find(|base| base.architecture != arm.architecture).unwrap();
        let arguments = [&bench.build_arguments()[..], &["--arch", "arm64", "--plan", &other.plan]].concat();
        let (exit, said) = bench.run(&arguments).await;
        assert_eq!(exit, Some(3), "{said}");
        assert!(said.contains(&format!("the plan {} is not for aarch64", other.plan)), "{said}");
        nothing_was_made(&bench, &said);
        tried += 1;
    }
    assert!(tried > 0);
}

/// A plugin for this machine that Packer finds in `folder` and asks for its version.
fn install(folder: &Path, source: &str, version: &str) {
    let name = source.rsplit('/').next().unwrap();
    let about = json!({"version": version, "sdk_version": "0.6.0", "api_version": "x5.0", "builders": [name], "post_processors": [],
        "provisioners": [], "datasources": [], "protocol_version": "v2"});
    let program = format!("#!/bin/sh\necho '{about}'\n");
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let folder = folder.join(source);
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("packer-plugin-{name}_v{version}_x5.0_linux_{architecture}"));
    fs::write(&file, &program).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
    let digest = format!("{:x}", Sha256::digest(&program));
    fs::write(format!("{}_SHA256SUM", file.display()), digest).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_is_too_old_is_as_good_as_none() {
    each(|rig| async move {
        let plugin = &rig.profile.packer.plugin;
        // Without a token no build begins.
        let token = (rig.profile.packer.token.environment.as_str(), "");
        for (version, does) in [("0.0.1", false), ("99.0.0", true)] {
            let bench = rig.bench(FAST, Machine::Works).await;
            let folder = tempfile::tempdir().unwrap();
            install(folder.path(), &plugin.source, version);
            let place = ("PACKER_PLUGIN_PATH", folder.path().to_str().unwrap());
            let (exit, said) = bench.build_with(&[token, place, ("HTTPS_PROXY", "http://127.0.0.1:9")]).await;
            assert_eq!(exit, Some(3), "{said}");
            let told = format!("the plugin {} {} cannot be had", plugin.source, plugin.version);
            assert_eq!(said.contains(&told), !does, "{version}: {said}");
            nothing_was_made(&bench, &said);
        }
    })
    .await;
}
