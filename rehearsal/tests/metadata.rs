//! Every provider's metadata service as a machine sees it: over HTTP, from within its network. Takes root.

use std::collections::BTreeMap;

use echora_rehearsal::metadata::{Asked, Metadata, setting_for};
use echora_rehearsal::network::{MACHINE_V4, METADATA, Network};
use provider_profiles::{Catalog, Entry, Exchange, Setting};
use reqwest::Method;

const USER_DATA: &str = "#cloud-config\nwrite_files: []\n";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKey rehearsal";

/// A running service with what it was told.
struct Played {
    entry: Entry,
    setting: Setting,
    metadata: Metadata,
    network: Network,
}

#[derive(Debug, Clone, PartialEq)]
struct Answer {
    status: u16,
    content_type: String,
    body: String,
}

async fn play() -> Vec<Played> {
    let mut played = Vec::new();
    for entry in Catalog::embedded().unwrap().iter() {
        let network = Network::create(&[]).await.unwrap();
        let inputs = BTreeMap::from([("domain".to_owned(), "chat.example.org".to_owned())]);
        let setting = setting_for(entry, vec![KEY.to_owned()], USER_DATA.to_owned(), inputs);
        let metadata = Metadata::serve(&network, &entry.fixture, setting.clone()).await.unwrap();
        played.push(Played { entry: entry.clone(), setting, metadata, network });
    }
    played
}

impl Played {
    async fn ask(&self, method: &str, path: &str, headers: &BTreeMap<String, String>) -> Answer {
        let url = format!("http://{METADATA}{path}");
        let (method, headers) = (Method::from_bytes(method.as_bytes()).unwrap(), headers.clone());
        let request = async move || {
            let client = reqwest::Client::builder().no_proxy().build()?;
            let request =
                headers.iter().fold(client.request(method, url), |r, (name, value)| r.header(name, value));
            let reply = request.send().await?;
            let (status, content_type) =
                (reply.status().as_u16(), reply.headers()["content-type"].to_str()?.to_owned());
            Ok(Answer { status, content_type, body: reply.text().await? })
        };
        self.network.inside(request).await.unwrap()
    }

    /// The exchanges with concrete paths.
    fn exchanges(&self) -> impl Iterator<Item = (&Exchange, String)> {
        self.entry
            .fixture
            .exchanges
            .iter()
            .map(|exchange| (exchange, exchange.path.replace("{name}", "domain")))
    }

    /// The headers that an exchange requires, with a token where it takes one.
    async fn headers(&self, exchange: &Exchange) -> BTreeMap<String, String> {
        let mut headers = exchange.requires.clone();
        if let Some(name) = &exchange.token_header {
            headers.insert(name.clone(), self.token().await);
        }
        headers
    }

    async fn token(&self) -> String {
        let (issuer, path) =
            self.exchanges().find(|(exchange, _)| exchange.issues_token).expect("a token's issuer");
        let answer = self.ask(&issuer.method, &path, &issuer.requires).await;
        assert_eq!(answer.status, 200, "{path}");
        answer.body.trim().to_owned()
    }

    fn id(&self) -> &str {
        &self.entry.profile.id
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_exchange_answers_with_this_machines_values() {
    let catalog = play().await;
    let mut values = 0;
    for played in &catalog {
        let instance = &played.setting.instance;
        assert_ne!(instance.instance_id, played.entry.fixture.sample.instance_id, "the id is a new one");
        for (exchange, path) in played.exchanges() {
            let answer = played.ask(&exchange.method, &path, &played.headers(exchange).await).await;
            let what = format!("{}: {} {path}: {answer:?}", played.id(), exchange.method);
            assert_eq!(answer.status, exchange.status, "{what}");
            assert_eq!(answer.content_type, exchange.content_type, "{what}");
            if answer.content_type == "application/json" {
                serde_json::from_str::<serde_json::Value>(&answer.body).expect(&what);
            }
            let told = [
                ("instance.instance_id", instance.instance_id.clone()),
                ("instance.public_ipv4", MACHINE_V4.to_string()),
                ("instance.public_ipv6", instance.public_ipv6.clone().unwrap()),
                ("ssh_keys", KEY.to_owned()),
                ("{{ value }}", "chat.example.org".to_owned()),
            ];
            for (_, value) in told.iter().filter(|(template, _)| exchange.body.contains(template)) {
                assert!(answer.body.contains(value), "{what} lacks {value}");
                values += 1;
            }
        }
    }
    assert!(values > 4 * catalog.len(), "only {values} values were looked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn user_data_arrives_unchanged() {
    for played in play().await {
        for (exchange, path) in played.exchanges().filter(|(exchange, _)| exchange.body.contains("user_data"))
        {
            let body = played.ask(&exchange.method, &path, &played.headers(exchange).await).await.body;
            let texts = match serde_json::from_str::<serde_json::Value>(&body) {
                Ok(document) => ["/user_data", "/user-data", "/metadata/user_data"]
                    .iter()
                    .filter_map(|place| document.pointer(place)?.as_str())
                    .flat_map(|text| [Some(text.to_owned()), decode(text)])
                    .collect(),
                Err(_) => vec![Some(body.clone()), decode(body.trim())],
            };
            assert!(texts.contains(&Some(USER_DATA.to_owned())), "{}: {path}: {body:?}", played.id());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_needed_where_the_service_takes_one() {
    let catalog = play().await;
    let mut tokens = 0;
    for played in &catalog {
        for (exchange, path) in played.exchanges() {
            let Some(name) = &exchange.token_header else { continue };
            tokens += 1;
            let what = format!("{}: {path}", played.id());
            let mut headers = exchange.requires.clone();
            assert_eq!(
                played.ask(&exchange.method, &path, &headers).await.status,
                401,
                "{what} without a token"
            );
            headers.insert(name.clone(), "0".repeat(32));
            assert_eq!(
                played.ask(&exchange.method, &path, &headers).await.status,
                401,
                "{what} with a made-up token"
            );
            let (one, two) = (played.token().await, played.token().await);
            assert_ne!(one, two, "{what}: every token is a new one");
            for token in [one, two] {
                headers.insert(name.clone(), token);
                assert_eq!(
                    played.ask(&exchange.method, &path, &headers).await.status,
                    200,
                    "{what} with a token"
                );
            }
        }
    }
    assert!(tokens > 0, "no provider of the catalog takes a token: nothing was tested");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_machines_token_opens_nothing() {
    let (ours, theirs) = (play().await, play().await);
    for (one, two) in ours.iter().zip(&theirs) {
        let Some((exchange, path)) = one.exchanges().find(|(exchange, _)| exchange.token_header.is_some())
        else {
            continue;
        };
        let headers = two.headers(exchange).await;
        assert_eq!(one.ask(&exchange.method, &path, &headers).await.status, 401, "{}: {path}", one.id());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_header_decides_about_the_reply() {
    let catalog = play().await;
    let mut compared = 0;
    for played in &catalog {
        for (exchange, path) in played.exchanges().filter(|(exchange, _)| !exchange.requires.is_empty()) {
            let with = played.headers(exchange).await;
            let without: BTreeMap<_, _> = with
                .iter()
                .filter(|(name, _)| !exchange.requires.contains_key(*name))
                .map(|(n, v)| (n.clone(), v.clone()))
                .collect();
            let plain = played.ask(&exchange.method, &path, &without).await;
            let has_plain = played.exchanges().any(|(other, at)| at == path && other.requires.is_empty());
            let what = format!("{}: {path}: {plain:?}", played.id());
            assert_eq!(plain.status, if has_plain { 200 } else { 404 }, "{what}");
            assert_ne!(
                plain,
                played.ask(&exchange.method, &path, &with).await,
                "{what}: the header changes nothing"
            );
            compared += 1;
        }
    }
    assert!(compared > 0, "no exchange of the catalog requires a header: nothing was tested");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_path_is_404_and_a_wrong_method_405() {
    for played in play().await {
        let none = BTreeMap::new();
        let mut expected = Vec::new();
        let mut ask = async |method: &str, path: &str, status: u16| {
            assert_eq!(
                played.ask(method, path, &none).await.status,
                status,
                "{}: {method} {path}",
                played.id()
            );
            expected.push(Asked { method: method.into(), path: path.into(), status });
        };
        ask("GET", "/latest/no-such-thing", 404).await;
        ask("GET", "/", 404).await;
        for (_, path) in played.exchanges() {
            ask("DELETE", &path, 405).await;
            ask("GET", &format!("{path}/"), 404).await;
            ask("GET", &format!("/{path}"), 404).await;
        }
        assert_eq!(played.metadata.asked(), expected, "{}", played.id());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_the_buyer_did_not_give_is_404() {
    let catalog = play().await;
    for played in &catalog {
        for exchange in
            played.entry.fixture.exchanges.iter().filter(|exchange| exchange.path.contains("{name}"))
        {
            let headers = played.headers(exchange).await;
            for name in ["email", "", "domain/x"] {
                let path = exchange.path.replace("{name}", name);
                assert_eq!(
                    played.ask(&exchange.method, &path, &headers).await.status,
                    404,
                    "{}: {path}",
                    played.id()
                );
            }
        }
    }
}

/// Standard base64 with padding, by the system's own tool.
fn decode(text: &str) -> Option<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let output = std::process::Command::new("base64").arg("--decode").arg(file.path()).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).ok())?
}
