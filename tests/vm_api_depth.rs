//! Whole rehearsals at both depths: with a provider's own plugin, the generated template as it is goes from the order of a
//! machine at the played API to the artifact; without it, Packer's null builder provisions a local machine.

mod support;

use echora_images::record::{Depth, Record};
use echora_rehearsal::machine::Accelerator;
use support::buyer;
use support::default_provider;
use support::depth::with_plugin;
use support::snapshot::{Built, build, events, shared};

/// What it is worth to a buyer, the tests of machines show, which all boot this one.
#[tokio::test]
async fn a_providers_own_plugin_builds_the_image_of_all_these_tests() {
    check_with_plugin(shared().await);
    let accelerator = buyer::accelerator().await;
    for other in &with_plugin().await[1..] {
        match accelerator {
            Accelerator::Kvm => check_with_plugin(&build(other, "api")),
            Accelerator::Emulation => {
                println!("{other}: not tried, emulation takes ten minutes for it; `make soak` does so");
            }
        }
    }
}

#[tokio::test]
#[ignore = "ten minutes for each provider: make soak"]
async fn the_other_providers_plugins_do_so_too_and_a_buyer_can_boot_it() {
    for provider in &with_plugin().await[1..] {
        let built = build(provider, "api");
        check_with_plugin(&built);
        check_boot(&built);
    }
}

#[tokio::test]
#[ignore = "ten minutes: make soak"]
async fn without_a_plugin_the_machine_is_made_all_the_same_and_a_buyer_can_boot_it() {
    let built = build(&default_provider(), "machine");
    let record = &built.record;
    assert_eq!(record.depth, Depth::Machine);
    assert!(record.versions.plugin.starts_with("none") && record.account.is_none(), "{record:?}");
    check_record(record);
    check_boot(&built);
}

/// What the account was asked and holds.
fn check_with_plugin(built: &Built) {
    let (record, provider) = (&built.record, &built.record.provider);
    assert_eq!(record.depth, Depth::Api, "{:?}", record.depth_note);
    assert!(!record.versions.plugin.starts_with("none"), "{}", record.versions.plugin);

    let account = record.account.as_ref().expect("the played account is told");
    let [left] = account.left.as_slice() else { panic!("{provider}: left in the account: {account:?}") };
    let id = left.split(' ').nth(1).unwrap();
    assert!(account.artifact.ends_with(id) && account.requests > 10, "{provider}: {account:?}");
    let log = std::fs::read_to_string(built.file.with_file_name("build.log")).unwrap();
    let asked = |method: &str| log.lines().any(|line| line.starts_with(&format!("api: {method} ")));
    assert!(asked("POST") && asked("DELETE"), "{provider}: nothing was ordered or given back");
    assert!(!log.contains("noted by the played API"), "{provider}: it asked what the API does not know");
    check_record(record);

    let again = build(provider, "api");
    assert_eq!(again.record.began, record.began, "{provider}: built again though nothing has changed");
}

fn check_record(record: &Record) {
    let packages = &record.packages;
    assert!(packages.contains_key("docker.io") && packages.len() > 200, "{} packages", packages.len());
    assert_eq!(record.images.len(), 3);
    assert!(record.images.values().all(|image| image.digest.starts_with("sha256:")), "{:?}", record.images);
    assert!(record.versions.packer.starts_with("1.") && record.depth_note.is_some());
    assert!(record.steps.iter().any(|step| step.name == "packer" && step.seconds > 0.0));
}

/// From the image to a login.
fn check_boot(built: &Built) {
    let told = events(&["boot", built.file.to_str().unwrap(), "--json"]);
    let login = told.iter().find(|event| event["event"] == "login").expect("a login was printed");
    assert_eq!(login["role"], "owner", "{}", built.record.provider);
}
