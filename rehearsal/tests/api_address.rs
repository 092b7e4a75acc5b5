//! Where programs in a machine's network find a played API: at an address that they are told, or under its own name.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use echora_rehearsal::api::{Nothing, Options, Reachable, Token};
use echora_rehearsal::network::{Network, sweep};
use echora_rehearsal::process::run;
use provider_profiles::{Catalog, Simulator};

const PATIENCE: Duration = Duration::from_secs(20);
const NAME: &str = "api.provider.example";

/// Some provider's API, under a name of its own or not.
fn described(host: Option<&str>) -> Simulator {
    let catalog = Catalog::embedded().unwrap();
    let found = catalog.ids().find_map(|id| Catalog::simulator(id).unwrap());
    Simulator { host: host.map(str::to_owned), ..found.expect("an API is described") }
}

async fn serve(network: &Network, host: Option<&str>) -> Reachable {
    let token = Token { value: "token-of-a-test".into(), ..Token::default() };
    let options = Options { tokens: vec![token], speed: 100.0, requests: None };
    Reachable::serve(network, described(host), &options, Arc::new(Nothing)).await.unwrap()
}

/// Status of a request that a program in the network makes without a token.
async fn status(network: &Network, url: &str, environment: &[(String, String)]) -> anyhow::Result<String> {
    let mut command = network.command("curl");
    command.args(["--silent", "--show-error", "--max-time", "10", "--output", "/dev/null"]);
    command.args(["--write-out", "%{http_code}", url]);
    command.env_remove("CURL_CA_BUNDLE").env_remove("SSL_CERT_DIR");
    // The user's proxy, which nothing in the network reaches.
    command.env("https_proxy", "http://192.0.2.1:3128").env("http_proxy", "http://192.0.2.1:3128");
    let lower = environment.iter().filter(|(name, _)| name == "NO_PROXY").cloned();
    command.envs(environment.iter().cloned()).envs(lower.map(|(_, value)| ("no_proxy", value)));
    run(&mut command, "curl", PATIENCE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_is_reached_at_the_address_that_clients_are_told() {
    let network = Network::create(&[]).await.unwrap();
    let reachable = serve(&network, None).await;
    let variables: BTreeMap<_, _> = reachable.environment.iter().cloned().collect();
    assert!(variables.values().any(|value| value.starts_with(reachable.api.url())), "{variables:?}");
    let url = format!("{}/", reachable.api.url());
    assert_eq!(status(&network, &url, &reachable.environment).await.unwrap(), "401");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_is_reached_under_its_own_name_and_vouched_for() {
    let network = Network::create(&[]).await.unwrap();
    let reachable = serve(&network, Some(NAME)).await;
    let url = format!("https://{NAME}/");
    assert_eq!(status(&network, &url, &reachable.environment).await.unwrap(), "401");
    assert_eq!(reachable.api.ledger().asked.len(), 1);
    let without_authority: Vec<_> =
        reachable.environment.iter().filter(|(name, _)| name != "SSL_CERT_FILE").cloned().collect();
    assert!(status(&network, &url, &without_authority).await.is_err(), "anybody may be the provider");

    let other = Network::create(&[]).await.unwrap();
    assert!(status(&other, &url, &reachable.environment).await.is_err(), "another network has the name");
    let settings = Path::new("/etc/netns").join(network.namespace());
    assert!(settings.is_dir());
    drop((reachable, network));
    assert!(!settings.exists(), "{} is left", settings.display());
}

/// A process that was killed leaves its network; the next one takes it away, with its settings.
#[tokio::test(flavor = "multi_thread")]
async fn the_names_of_a_network_go_with_it() {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let gone = format!("echora-{}-1", child.id());
    child.wait().unwrap();
    let mut command = tokio::process::Command::new("ip");
    run(command.args(["netns", "add", &gone]), "ip", PATIENCE).await.unwrap();
    let settings = Path::new("/etc/netns").join(&gone);
    std::fs::create_dir_all(&settings).unwrap();
    std::fs::write(settings.join("hosts"), "127.0.0.1 localhost\n").unwrap();
    sweep();
    assert!(!settings.exists() && !Path::new("/run/netns").join(&gone).exists());
}
