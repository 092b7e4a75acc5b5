//! The door through which tests in other languages order simulators, faults and ledgers: JSON on loopback.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use provider_profiles::Simulator;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Api, Fault, Nothing, Options};
use crate::metadata::lock;

/// The running door; dropping it stops it with all its simulators.
pub struct Control {
    task: JoinHandle<()>,
    shared: Shared,
    url: String,
}

struct Simulators {
    described: BTreeMap<String, Simulator>,
    running: BTreeMap<u32, (String, Api)>,
    last: u32,
    /// The calls of those that were stopped, by provider, with whether any of them carried it out.
    asked: BTreeMap<String, BTreeMap<String, bool>>,
}

type Shared = Arc<Mutex<Simulators>>;
type Answer = Result<String, (StatusCode, String)>;

impl Control {
    /// Opens the door on a free port of loopback for the APIs `described`:
    /// `POST /PROVIDER` with options starts a simulator (`{"id", "url"}`), and below `/simulators/ID`,
    /// `POST /faults` orders a fault, `POST /heal` ends all, `POST /change/KIND` changes fields, `GET /ledger` tells
    /// the account book, `DELETE` stops it.
    pub async fn open(described: BTreeMap<String, Simulator>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen on loopback")?;
        let url = format!("http://{}", listener.local_addr()?);
        let one = Router::new()
            .route("/faults", post(fault))
            .route("/heal", post(heal))
            .route("/change/{kind}", post(change))
            .route("/ledger", get(ledger))
            .route("/", axum::routing::delete(stop));
        let router = Router::new().route("/{provider}", post(start)).nest("/simulators/{id}", one);
        let simulators = Simulators { described, running: BTreeMap::new(), last: 0, asked: BTreeMap::new() };
        let shared = Arc::new(Mutex::new(simulators));
        let router = router.with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { task, shared, url })
    }

    /// The calls of all APIs that were started, as far as none of the stopped simulators carried them out.
    #[must_use]
    pub fn untouched(&self) -> Vec<String> {
        let simulators = lock(&self.shared);
        let calls = simulators.asked.iter().flat_map(|(id, calls)| calls.iter().map(move |c| (id, c)));
        calls.filter(|(_, (_, asked))| !**asked).map(|(id, (call, _))| format!("{id}: {call}")).collect()
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A simulator on a free port of loopback, without machines.
async fn simulator(description: Option<Simulator>, options: &Options) -> Result<Api> {
    let description = description.context("this provider's API is not described")?;
    let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen on loopback")?;
    let url = format!("http://{}", listener.local_addr()?);
    Api::serve(description, listener, &url, options, Arc::new(Nothing))
}

async fn start(State(shared): State<Shared>, Path(provider): Path<String>, body: Bytes) -> Answer {
    let options = parse(&body)?;
    let description = lock(&shared).described.get(&provider).cloned();
    let api = simulator(description, &options).await.map_err(|error| refused(&error))?;
    let mut simulators = lock(&shared);
    simulators.last += 1;
    let (id, url) = (simulators.last, api.url().to_owned());
    simulators.running.insert(id, (provider, api));
    Ok(json!({ "id": id, "url": url }).to_string())
}

async fn fault(State(shared): State<Shared>, Path(id): Path<u32>, body: Bytes) -> Answer {
    let fault: Fault = parse(&body)?;
    with(&shared, id, |api| api.fault(fault))
}

async fn heal(State(shared): State<Shared>, Path(id): Path<u32>) -> Answer {
    with(&shared, id, |api| {
        api.heal();
        Ok(())
    })
}

async fn change(State(shared): State<Shared>, Path((id, kind)): Path<(u32, String)>, body: Bytes) -> Answer {
    let fields: Map<String, Value> = parse(&body)?;
    with(&shared, id, |api| api.change(&kind, &fields))
}

async fn ledger(State(shared): State<Shared>, Path(id): Path<u32>) -> Answer {
    with(&shared, id, |api| Ok(api.ledger()))
}

async fn stop(State(shared): State<Shared>, Path(id): Path<u32>) -> Answer {
    let mut simulators = lock(&shared);
    let Some((provider, api)) = simulators.running.remove(&id) else { return Ok("false".into()) };
    let asked = simulators.asked.entry(provider).or_default();
    for (call, carried_out) in api.coverage() {
        *asked.entry(call).or_default() |= carried_out;
    }
    Ok("true".into())
}

fn with<T: serde::Serialize>(shared: &Shared, id: u32, then: impl FnOnce(&Api) -> Result<T>) -> Answer {
    let simulators = lock(shared);
    let done = simulators.running.get(&id).context("no such simulator").and_then(|(_, api)| then(api));
    done.and_then(|done| Ok(serde_json::to_string(&done)?)).map_err(|error| refused(&error))
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, (StatusCode, String)> {
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

fn refused(error: &anyhow::Error) -> (StatusCode, String) {
    (StatusCode::UNPROCESSABLE_ENTITY, format!("{error:#}"))
}
