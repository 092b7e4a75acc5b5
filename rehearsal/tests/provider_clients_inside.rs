//! Simulators in a machine's network, reached by the providers' own clients as they come: with what the environment says,
//! or under the API's real name where clients have no setting for another. Takes root.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use echora_rehearsal::api::{Nothing, Options, Reachable, Token};
use echora_rehearsal::network::Network;
use echora_rehearsal::process::run;
use provider_profiles::Catalog;
use tempfile::TempDir;
use tokio::process::Command;

/// With nothing built yet on a slow machine.
const BUILD: Duration = Duration::from_secs(600);
const DEADLINE: Duration = Duration::from_secs(120);

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// The test program of a provider's client for a run inside.
async fn program(id: &str, folder: &TempDir) -> PathBuf {
    let program = folder.path().join(id);
    let mut command = Command::new("go");
    command.args(["test", "-c", "-tags", "inside", "-o"]).arg(&program).arg(format!("./{id}"));
    command.current_dir(clients()).env("CGO_ENABLED", "0");
    run(&mut command, "go test -c", BUILD).await.unwrap();
    program
}

/// The program inside, without anything of this process's environment.
fn inside(network: &Network, program: &Path, folder: &TempDir) -> Command {
    let mut command = network.command("sh");
    // Go tells failures on standard output.
    command.args(["-c", "exec \"$0\" -test.run '^TestInside$' >&2"]).arg(program);
    command.current_dir(folder.path()).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", folder.path());
    command.stdin(Stdio::null());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_as_it_comes_finds_the_simulator_and_trusts_no_other() {
    let described = Catalog::simulators_in(&clients().join("../../provider-profiles/simulators")).unwrap();
    let mut found_by_name = 0;
    for (id, simulator) in described {
        if !clients().join(&id).join("inside_test.go").is_file() {
            assert!(simulator.host.is_none(), "no client asks for the host of {id}: write inside_test.go");
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let program = program(&id, &folder).await;
        let network = Network::create(&[]).await.unwrap();
        let token = Token { value: "token-of-a-test".into(), ..Token::default() };
        let options = Options { tokens: vec![token], speed: 1000.0, requests: None };
        let host = simulator.host.clone();
        let served = Reachable::serve(&network, simulator, &options, Arc::new(Nothing)).await.unwrap();
        let environment = served.environment.clone();
        let mut command = inside(&network, &program, &folder);
        run(command.envs(environment.clone()), "the client", DEADLINE).await.unwrap();
        let ledger = served.api.ledger();
        assert_eq!(ledger.kinds_left(), ["snapshot"], "{id}: {:#?}", ledger.lines);
        assert!(ledger.strays().is_empty(), "{id}: {:#?}", ledger.strays());

        if host.is_none() {
            continue;
        }
        found_by_name += 1;
        let mut command = inside(&network, &program, &folder);
        let strange = environment.into_iter().filter(|(name, _)| name != "SSL_CERT_FILE");
        let error = run(command.envs(strange), "the client", DEADLINE).await.unwrap_err();
        assert!(format!("{error:#}").contains("certificate"), "{id}: {error:#}");
        assert_eq!(served.api.ledger().asked.len(), ledger.asked.len(), "{id}: it was asked without trust");
    }
    assert!(found_by_name > 0, "no API has a host of its own");
}
