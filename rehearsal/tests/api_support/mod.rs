//! An invented API, and a client of it.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use echora_rehearsal::api::{Api, Deed, Doing, Done, Hypervisor, Nothing, Options, Token};
use provider_profiles::{Catalog, Simulator};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

const TOKEN: &str = "token-of-a-test";
const PATIENCE: Duration = Duration::from_secs(20);

/// Boxes in two sizes that take ten seconds to get ready.
pub(crate) const DESCRIPTION: &str = r#"
provenance = []
unknown_fields = "refused"
error_body = '{"error": {{ message|tojson }}}'
rate = { requests = 1000, seconds = 60 }

[pages]
kind = "cursor"
page = "cursor"
size = "per"
default = 10
maximum = 10
body = '{"{{ key }}": {{ items }}, "total": {{ total }}, "next": {{ next|tojson }}}'

[errors]
unauthorized = { status = 401, message = "who are you" }
forbidden = { status = 403, message = "you may look only" }
not_found = { status = 404, message = "no such thing" }
unknown_call = { status = 404, message = "no such call" }
malformed = { status = 400, message = "no JSON" }
missing = { status = 422, message = "{{ field }} is missing" }
wrong_type = { status = 422, message = "{{ field }} has another type" }
unknown_field = { status = 422, message = "{{ field }} is unknown" }
invalid = { status = 422, message = "{{ field }} is bad" }
too_many = { status = 429, message = "slowly" }
broken = { status = 500, message = "oh" }
unavailable = { status = 503, message = "later" }
full = { status = 422, message = "full" }

[kinds.account]
id = "number"
fields = '{"limit": 10}'
seeds = '[{}]'

[kinds.size]
id = "number"
fields = '{"slug": "", "price": 0.25}'
seeds = '[{"slug": "small"}, {"slug": "large", "price": 0.5}]'

[kinds.box]
id = "box-{{ n }}"
held = true
name = "name"
hourly = '(world.size|selectattr("slug", "equalto", it.size)|first).price'
fields = '{"name": "", "size": "", "state": "new"}'
order = '{"id": "{{ it.id }}", "name": "{{ it.name }}", "region": "", "image": "", "keys": [], "user_data": ""}'
view = '{"id": "{{ it.id }}", "name": {{ it.name|tojson }}, "size": "{{ it.size }}", "state": "{{ it.state }}"}'

[[calls]]
method = "GET"
path = "/boxes"
list = { key = "boxes", of = "world.box", view = "{{ show(it) }}" }

[[calls]]
method = "POST"
path = "/boxes"
status = 201
body = '{"box": {{ show(box) }}}'
[calls.fields]
name = { type = ["string"], required = true }
size = { type = ["string"], required = true, check = 'request.size in world.size|map(attribute="slug")|list', message = "there is no size {{ it }}" }
[[calls.steps]]
refuse = "full"
if = "world.box|length >= (world.account|first).limit"
message = "{{ (world.account|first).limit }} is all you may have"
[[calls.steps]]
make = "box"
fields = '{"name": {{ request.name|tojson }}, "size": {{ request.size|tojson }}}'
[[calls.steps]]
later = "ready"
after = 10
host = "start"
on = "box"
steps = [{ change = "box", fields = '{"state": "ready at {{ host.ipv4 }}"}' }]
failing = [{ change = "box", fields = '{"state": "dead"}' }]

[[calls]]
method = "POST"
path = "/twins"
status = 201
steps = [
  { make = "box", as = "one", fields = '{"name": "one", "size": "small"}' },
  { make = "box", as = "two", fields = '{"name": "two", "size": "small"}' },
  { refuse = "full", if = "world.box|length > (world.account|first).limit" },
]

[[calls]]
method = "GET"
path = "/boxes/{box}"
body = '{"box": {{ show(box) }}}'

[[calls]]
method = "DELETE"
path = "/boxes/{box}"
status = 204
steps = [{ delete = "box" }]
"#;

/// The descriptions of all real APIs.
pub(crate) fn descriptions() -> BTreeMap<String, Simulator> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let found = Catalog::simulators_in(&checkout.join("provider-profiles/simulators")).unwrap();
    assert!(!found.is_empty());
    found
}

pub(crate) fn simulator(text: &str) -> Simulator {
    toml::from_str(text).unwrap()
}

pub(crate) async fn serve(simulator: Simulator, options: Options) -> anyhow::Result<Api> {
    serve_on(simulator, options, Arc::new(Nothing)).await
}

async fn serve_on(
    simulator: Simulator,
    options: Options,
    hypervisor: Arc<dyn Hypervisor>,
) -> anyhow::Result<Api> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    Api::serve(simulator, listener, &url, &options, hypervisor)
}

/// The invented API with a client.
pub(crate) struct Cloud {
    pub(crate) api: Api,
    pub(crate) client: reqwest::Client,
}

/// What a client gets.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Cloud {
    pub(crate) fn options() -> Options {
        let tokens = vec![Token { value: TOKEN.into(), ..Token::default() }];
        Options { tokens, speed: 10_000.0, requests: None }
    }

    pub(crate) async fn new() -> Self {
        Self::with(Self::options()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        Self::of(serve(simulator(DESCRIPTION), options).await.unwrap())
    }

    pub(crate) async fn on(hypervisor: impl Hypervisor) -> Self {
        let api = serve_on(simulator(DESCRIPTION), Self::options(), Arc::new(hypervisor)).await;
        Self::of(api.unwrap())
    }

    fn of(api: Api) -> Self {
        Self { api, client: reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap() }
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask_as(TOKEN, method, path, body).await
    }

    pub(crate) async fn ask_as(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        let url = format!("{}{path}", self.api.url());
        let request = self.client.request(method.parse().unwrap(), url).bearer_auth(token);
        let reply = request.body(body.to_owned()).send().await.unwrap();
        let status = reply.status().as_u16();
        let text = reply.text().await.unwrap();
        Answer { status, body: serde_json::from_str(&text).unwrap_or_default() }
    }

    /// Orders a small box; its id.
    pub(crate) async fn order(&self, name: &str) -> String {
        let answer = self.ask("POST", "/boxes", &format!(r#"{{"name": "{name}", "size": "small"}}"#)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body["box"]["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn state(&self, id: &str) -> String {
        let answer = self.ask("GET", &format!("/boxes/{id}"), "").await;
        answer.body["box"]["state"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn becomes(&self, id: &str, state: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let found = self.state(id).await;
            if found == state {
                return;
            }
            assert!(Instant::now() < end, "{id} is {found}, not {state}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn until(&self, holds: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < end, "waited in vain");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

type Outcome = Result<Done, String>;

/// A deed, and the way to end it.
type Begun = (Deed, Option<oneshot::Sender<Outcome>>);

/// A hypervisor whose deeds end when the test says so.
#[derive(Clone, Default)]
pub(crate) struct Slow {
    deeds: Arc<Mutex<Vec<Begun>>>,
}

impl Slow {
    pub(crate) fn begun(&self) -> Vec<Deed> {
        self.deeds.lock().unwrap().iter().map(|(deed, _)| deed.clone()).collect()
    }

    /// Ends the start of the machine with this name.
    pub(crate) fn finish(&self, name: &str, outcome: Result<&str, &str>) {
        let mut deeds = self.deeds.lock().unwrap();
        let is = |deed: &Deed| matches!(deed, Deed::Start(order) if order.name == name);
        let (_, tell) = deeds.iter_mut().find(|(deed, _)| is(deed)).unwrap();
        let done = outcome.map(|ipv4| Done { ipv4: ipv4.into(), ..Done::default() }).map_err(str::to_owned);
        tell.take().unwrap().send(done).unwrap();
    }
}

impl Hypervisor for Slow {
    fn begin(&self, deed: Deed) -> Doing {
        let (tell, told) = oneshot::channel::<Outcome>();
        self.deeds.lock().unwrap().push((deed, Some(tell)));
        let doing: Pin<Box<dyn Future<Output = anyhow::Result<Done>> + Send>> =
            Box::pin(async move { told.await?.map_err(anyhow::Error::msg) });
        doing
    }

    fn promise(&self) -> Done {
        Done::default()
    }
}
