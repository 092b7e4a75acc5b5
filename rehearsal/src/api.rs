//! A provider's API, played from its description: what its own clients ask is answered as the provider would, with
//! states that take their time, an account book, and faults on demand.

mod address;
mod check;
mod clock;
mod control;
mod fault;
mod filter;
mod hypervisor;
mod ledger;
mod list;
mod rate;
mod request;
mod route;
mod run;
mod scope;
mod selector;
mod service;
mod tags;
mod text;
mod tls;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, Weak};

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{Request, Response, header};
use axum::serve::Listener;
use futures_util::{StreamExt, stream};
use provider_profiles::{Call, Simulator};
use serde::Deserialize;
use tokio::task::JoinHandle;

use crate::metadata::lock;
use clock::Clock;
use fault::{Faults, going_on};
use rate::Rates;
use service::{Reply, Service};
use text::Texts;
use world::World;

pub use address::Reachable;
pub use control::Control;
pub use fault::{Calls, Fault};
pub use hypervisor::{Deed, Doing, Done, Hypervisor, Nothing, Order, Script};
pub use ledger::{Asked, Ledger, Line};
pub use tls::Tls;

/// No request of these APIs is larger: user-data is the largest part.
const LARGEST_REQUEST: usize = 1024 * 1024;

/// A token that the API takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Its text.
    pub value: String,
    /// Whether it may only look.
    #[serde(default)]
    pub read_only: bool,
    /// What it is good for, where tokens have scopes (`images:read_write`); for everything when empty.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// How a simulator is to play.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The tokens that it takes.
    pub tokens: Vec<Token>,
    /// How many of the provider's seconds go by in one of ours.
    pub speed: f64,
    /// Requests in a window, in place of the provider's limit.
    #[serde(default)]
    pub requests: Option<u32>,
}

/// A running simulator; dropping it stops it and gives up what its hypervisor does.
pub struct Api {
    service: Arc<Service>,
    task: JoinHandle<()>,
}

impl Api {
    /// Serves `simulator` on `listener`, which clients reach as `url` (without a slash at its end). Mistakes of the
    /// description are errors here.
    pub fn serve<L>(
        simulator: Simulator,
        listener: L,
        url: &str,
        options: &Options,
        hypervisor: Arc<dyn Hypervisor>,
    ) -> Result<Self>
    where
        L: Listener,
        L::Addr: std::fmt::Debug,
    {
        if !(options.speed.is_finite() && options.speed > 0.0) {
            bail!("a clock cannot run {} times as fast as ours", options.speed);
        }
        let texts = Texts::new(&simulator);
        check::check(&simulator, &texts).context("the description of the API is wrong")?;
        let clock = Clock::new(options.speed);
        let world = World::new(&simulator, &texts, clock.now())?;
        let rates = Rates::limited(options.requests);
        let state = service::State {
            world,
            rates,
            faults: Faults::default(),
            book: Ledger::default(),
            deeds: 0,
            carried_out: BTreeSet::new(),
        };
        let service = Arc::new(Service {
            simulator,
            texts,
            clock,
            hypervisor,
            tokens: options.tokens.clone(),
            url: url.to_owned(),
            state: Mutex::new(state),
            jobs: Mutex::default(),
        });
        let router = Router::new().fallback(answer).with_state(Arc::downgrade(&service));
        let task = tokio::spawn(async move {
            // It ends with the guard; an error of one connection is that connection's.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { service, task })
    }

    /// Where clients reach it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.service.url
    }

    /// The environment that leads the provider's clients here.
    pub fn environment(&self) -> Result<Vec<(String, String)>> {
        let token = self.service.tokens.first().map(|token| token.value.as_str());
        let context = minijinja::context! { url => self.service.url, token };
        let variables = self.service.simulator.environment.iter();
        variables.map(|(name, t)| Ok((name.clone(), self.service.texts.render(t, &context)?))).collect()
    }

    /// The account book as it is now.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        let mut state = lock(&self.service.state);
        self.service.catch_up(&mut state);
        Ledger { lines: state.world.lines.clone(), ..state.book.clone() }
    }

    /// The description's calls with whether each was carried out: a description is proved by what clients ask.
    #[must_use]
    pub fn coverage(&self) -> BTreeMap<String, bool> {
        let state = lock(&self.service.state);
        let name = |call: &Call| {
            let when = call.when.iter().map(|(name, value)| format!(" {name}={value}")).collect::<String>();
            format!("{} {}{when}", call.method, call.path)
        };
        let calls = self.service.simulator.calls.iter().enumerate();
        calls.map(|(number, call)| (name(call), state.carried_out.contains(&number))).collect()
    }

    /// Lets something go wrong from now on.
    pub fn fault(&self, fault: Fault) -> Result<()> {
        let simulator = &self.service.simulator;
        let problem = fault.problem(
            |name| simulator.errors.contains_key(name),
            |name| simulator.kinds.contains_key(name),
            |name| simulator.calls.iter().any(|call| going_on(call).contains(&name)),
        );
        if let Some(problem) = problem {
            bail!("{problem}");
        }
        lock(&self.service.state).faults.add(fault);
        Ok(())
    }

    /// Lets everything go well again; what has gone wrong stays so.
    pub fn heal(&self) {
        lock(&self.service.state).faults.clear();
    }

    /// Changes what is there from the start: all resources of `kind` get these fields. For quotas and the like.
    pub fn change(&self, kind: &str, fields: &serde_json::Map<String, serde_json::Value>) -> Result<()> {
        let mut state = lock(&self.service.state);
        state.world.of(kind).iter().try_for_each(|name| state.world.change(name, fields.clone()))
    }

    /// Puts something into the account that none of the clients under test made.
    pub fn add(&self, kind: &str, fields: serde_json::Map<String, serde_json::Value>) -> Result<()> {
        let (service, mut state) = (&self.service, lock(&self.service.state));
        state.world.make(&service.simulator, &service.texts, kind, fields, service.clock.now()).map(drop)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.task.abort();
        lock(&self.service.jobs).abort_all();
    }
}

async fn answer(State(service): State<Weak<Service>>, request: Request<Body>) -> Response<Body> {
    let Some(service) = service.upgrade() else {
        // A connection that was kept outlives the listener.
        let gone = Response::builder().status(503).header(header::CONNECTION, "close");
        return gone.body(Body::empty()).unwrap_or_default();
    };
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name)?.to_str().ok().map(str::to_owned);
    let request = service::Request {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        authorization: header(header::AUTHORIZATION.as_str()),
        filter: service.simulator.pages.filter.as_deref().and_then(header),
        body: to_bytes(body, LARGEST_REQUEST).await.unwrap_or_default().to_vec(),
    };
    let reply = service.answer(&request);
    tokio::time::sleep(reply.late).await;
    send(reply)
}

fn send(reply: Reply) -> Response<Body> {
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    if reply.body.is_empty() && !reply.cut {
        return response.body(Body::empty()).unwrap_or_default();
    }
    response = response.header(header::CONTENT_TYPE, "application/json");
    let body = if reply.cut {
        // The length of the whole is promised, half of it comes.
        response = response.header(header::CONTENT_LENGTH, reply.body.len().max(2));
        let half = Bytes::from(reply.body.as_bytes()[..reply.body.len() / 2].to_vec());
        let cut = stream::once(async {
            // What was written so far is sent while the stream has nothing to give; else the client would see a
            // connection that ended before any reply, and ask again unasked.
            tokio::task::yield_now().await;
            Err(std::io::Error::other("cut on demand"))
        });
        Body::from_stream(stream::iter([Ok(half)]).chain(cut))
    } else {
        Body::from(reply.body)
    };
    response.body(body).unwrap_or_default()
}
