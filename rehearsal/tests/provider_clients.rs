//! Every described API asked by the provider's own client library: what it takes from the simulator it takes from the
//! provider. The tests are in Go, below rehearsal/clients, a folder for each provider.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use echora_firstboot::form::{FIELDS, Field};
use echora_rehearsal::api::Control;
use echora_rehearsal::process::run;
use provider_profiles::{Catalog, Simulator};
use serde_json::{Value, json};
use tokio::process::Command;

/// With nothing built yet on a slow machine.
const DEADLINE: Duration = Duration::from_secs(900);

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

fn described() -> BTreeMap<String, Simulator> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    Catalog::simulators_in(&checkout.join("provider-profiles/simulators")).unwrap()
}

/// The guest's own list of settings, which providers' forms are made of.
fn form() -> String {
    let field = |field: &Field| {
        json!({"name": field.name, "label": field.label, "example": field.example, "choices": field.choices,
            "secret": field.is_secret()})
    };
    FIELDS.iter().map(field).collect::<Value>().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_providers_own_clients_cannot_tell_the_simulators_apart() {
    let control = Control::open(described()).await.unwrap();
    let told = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new("sh");
    // Go tells failures on standard output, and all of them are wanted.
    command.args(["-c", "exec go test -count=1 ./... >\"$0\" 2>&1"]).arg(told.path()).current_dir(clients());
    command.env("FORM", form());
    command.env("SIMULATORS", control.url()).env("NO_PROXY", "127.0.0.1").env("CGO_ENABLED", "0");
    if let Err(error) = run(&mut command, "go test", DEADLINE).await {
        panic!("{error:#}\n{}", std::fs::read_to_string(told.path()).unwrap());
    }
    let untouched = control.untouched();
    assert!(untouched.is_empty(), "no client asked for these calls: {untouched:#?}");
}

#[test]
fn every_described_api_is_asked_by_a_client() {
    for id in described().keys() {
        assert!(clients().join(id).is_dir(), "no client asks the API of {id}: write rehearsal/clients/{id}");
    }
}
