//! One request from its headers to its reply.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use minijinja::context;
use provider_profiles::{Call, Simulator};
use serde_json::{Map, Value as Json};
use tokio::task::JoinSet;

use super::clock::Clock;
use super::fault::{Faults, Struck};
use super::filter::Filter;
use super::hypervisor::{Done, Hypervisor};
use super::ledger::{Asked, Ledger};
use super::rate::{Rates, Standing};
use super::route::{self, Route};
use super::run::{Begun, Refusal, Run, Stop, ended};
use super::text::Texts;
use super::world::{Bound, Scope, World};
use super::{Token, list, request, scope};
use crate::metadata::lock;

/// A request that has come in whole.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) authorization: Option<String>,
    /// The header that narrows lists.
    pub(super) filter: Option<String>,
    pub(super) body: Vec<u8>,
}

/// A reply before it is sent.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    pub(super) late: Duration,
    pub(super) cut: bool,
}

/// A simulator at work.
pub(super) struct Service {
    pub(super) simulator: Simulator,
    pub(super) texts: Texts,
    pub(super) tokens: Vec<Token>,
    pub(super) clock: Clock,
    pub(super) url: String,
    pub(super) hypervisor: Arc<dyn Hypervisor>,
    pub(super) state: Mutex<State>,
    pub(super) jobs: Mutex<JoinSet<()>>,
}

/// What changes.
#[derive(Debug)]
pub(super) struct State {
    pub(super) world: World,
    pub(super) faults: Faults,
    pub(super) rates: Rates,
    pub(super) book: Ledger,
    pub(super) deeds: u64,
    /// The calls that were carried out, by their place in the description.
    pub(super) carried_out: BTreeSet<usize>,
}

impl Service {
    /// Answers a request.
    pub(super) fn answer(self: &Arc<Self>, request: &Request) -> Reply {
        let mut state = lock(&self.state);
        self.catch_up(&mut state);
        let struck = state.faults.strike(&request.method, &request.path);
        let standing = self.standing(&mut state, request);
        let outcome = self.outcome(&mut state, request, &struck, standing);
        let mut reply = match outcome {
            Ok(reply) => reply,
            Err(Stop::Refused(refusal)) => {
                self.refuse(&refusal, standing).unwrap_or_else(|e| defect(&mut state, &e))
            }
            Err(Stop::Defect(error)) => defect(&mut state, &error),
        };
        reply.headers.extend(self.headers(request, standing));
        (reply.late, reply.cut) = (struck.late, struck.cut);
        let path = [request.path.as_str(), request.query.as_str()];
        let path = path.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("?");
        let status = if reply.cut { 0 } else { reply.status };
        state.book.asked.push(Asked { method: request.method.clone(), path, status });
        reply
    }

    /// The token that a request comes with, when it is one.
    fn token(&self, request: &Request) -> Option<&Token> {
        let bearer = request.authorization.as_deref()?.strip_prefix("Bearer ")?;
        self.tokens.iter().find(|token| token.value == bearer)
    }

    /// The call that is meant, as far as it can be told without its body.
    fn call_before_body(&self, request: &Request) -> Option<&Call> {
        match route::find(&self.simulator, &request.method, &request.path, &Map::new()) {
            Route::Call(number, _) => Some(&self.simulator.calls[number]),
            Route::NoneFor(_) | Route::Unknown => None,
        }
    }

    /// The headers of every reply.
    fn headers(&self, request: &Request, standing: Standing) -> Vec<(String, String)> {
        let accepted = self.call_before_body(request).and_then(|call| call.scope.as_deref());
        let scopes = self.token(request).map(|token| scope::told(&token.scopes)).unwrap_or_default();
        let about = context! { scopes, accepted => accepted.unwrap_or_default() };
        let of_rate = self.simulator.rate.headers.iter().map(|header| (header, standing.context()));
        let of_scopes = self.simulator.headers.iter().map(|header| (header, about.clone()));
        let rendered = of_rate.chain(of_scopes).map(|((name, template), context)| {
            (name.clone(), self.texts.render(template, &context).unwrap_or_default())
        });
        rendered.filter(|(_, value)| !value.is_empty()).collect()
    }

    fn standing(&self, state: &mut State, request: &Request) -> Standing {
        let rate = &self.simulator.rate;
        let who = request.authorization.as_deref().unwrap_or_default();
        state.rates.count(who, rate, &self.clock)
    }

    fn outcome(
        self: &Arc<Self>,
        state: &mut State,
        request: &Request,
        struck: &Struck,
        standing: Standing,
    ) -> Result<Reply, Stop> {
        let refused = |error: &str| Err(Stop::Refused(Refusal::of(error)));
        if let Some(error) = &struck.error {
            return refused(error);
        }
        let Some(token) = self.token(request) else {
            let call = self.call_before_body(request);
            return refused(call.map_or("unauthorized", |call| &call.stranger));
        };
        if standing.exceeded {
            return refused("too_many");
        }
        let body = request::body(&request.body).map_err(Stop::Refused)?;
        let looks_only = token.read_only && request.method != "GET";
        let (number, names) = match route::find(&self.simulator, &request.method, &request.path, &body) {
            Route::Call(number, names) => (number, names),
            // What a token may is told before what is wrong with an order.
            Route::NoneFor(_) if looks_only => return refused("forbidden"),
            Route::NoneFor(field) => {
                let error = if body.contains_key(&field) { "invalid" } else { "missing" };
                return Err(Stop::Refused(Refusal { field: Some(field), ..Refusal::of(error) }));
            }
            Route::Unknown => {
                state.book.unknown_calls.push(format!("{} {}", request.method, request.path));
                return refused("unknown_call");
            }
        };
        let call = &self.simulator.calls[number];
        let needed = call.scope.as_deref();
        if looks_only || !scope::grants(&token.scopes, needed) {
            return refused("forbidden");
        }
        let now = self.clock.now();
        for kind in &struck.vanish {
            for name in state.world.of(kind) {
                state.world.delete(&name, now);
            }
        }
        let reply = self.carry_out(state, request, call, &names, &body)?;
        state.carried_out.insert(number);
        Ok(reply)
    }

    /// Does what the call says, on a copy of the world that takes its place when all went well.
    fn carry_out(
        self: &Arc<Self>,
        state: &mut State,
        request: &Request,
        call: &Call,
        names: &BTreeMap<String, String>,
        body: &Map<String, Json>,
    ) -> Result<Reply, Stop> {
        let mut world = state.world.clone();
        let mut begun = Vec::new();
        let parameters = route::parameters(&request.query);
        list::check(&self.simulator.pages, call, &parameters).map_err(Stop::Refused)?;
        let filter = request.filter.as_deref().map(Filter::parse).transpose().map_err(Stop::Refused)?;
        let mut scope = Scope::new();
        for (name, value) in names {
            let own = [vec![name.clone()], vec!["id".to_owned()]];
            let bind = call.bind.get(name);
            let (kinds, by) = bind.map_or((&own[0], &own[1]), |bind| (&bind.kinds, &bind.by));
            let error = bind.map_or("not_found", |bind| bind.error.as_str());
            let found = world.find(kinds, by, value).ok_or_else(|| Stop::Refused(Refusal::of(error)))?;
            scope.insert(name.clone(), Bound::Resource(found));
        }
        let State { faults, deeds, book, .. } = state;
        let promised = self.hypervisor.promise();
        let mut run = self.run(&mut world, faults, &mut begun, deeds, &promised);
        let mut unknown = request::query(&self.simulator, call, &parameters, &mut scope);
        unknown.extend(request::check(&run, call, body, &mut scope)?);
        book.unknown_fields.extend(unknown.iter().map(|f| format!("{} {}: {f}", call.method, call.path)));
        run.steps(&call.steps, &mut scope)?;
        let body = match &call.list {
            Some(listing) => list::page(
                &run,
                listing,
                &list::Wanted { path: &request.path, parameters: &parameters, filter },
                &scope,
            )?,
            None => run.texts.render(&call.body, &run.context(&scope))?,
        };
        state.world = world;
        self.launch(begun);
        Ok(Reply { status: call.status, body, ..Reply::default() })
    }

    /// Ends what is due by now.
    pub(super) fn catch_up(self: &Arc<Self>, state: &mut State) {
        let mut begun = Vec::new();
        let State { world, faults, deeds, book, .. } = state;
        let promised = self.hypervisor.promise();
        let caught_up = self.run(world, faults, &mut begun, deeds, &promised).catch_up(self.clock.now());
        if let Err(error) = caught_up {
            book.defects.push(format!("{error:#}"));
        }
        self.launch(begun);
    }

    fn run<'a>(
        &'a self,
        world: &'a mut World,
        faults: &'a mut Faults,
        begun: &'a mut Vec<Begun>,
        deeds: &'a mut u64,
        promised: &'a Done,
    ) -> Run<'a> {
        let now = self.clock.now();
        let (simulator, texts, url) = (&self.simulator, &self.texts, &*self.url);
        Run { simulator, texts, world, faults, begun, deeds, url, promised, now }
    }

    /// Begins the hypervisor's deeds.
    fn launch(self: &Arc<Self>, begun: Vec<Begun>) {
        for (deed, number) in begun {
            let (what, doing) = (format!("{deed:?}"), self.hypervisor.begin(deed));
            let service = Arc::clone(self);
            lock(&self.jobs).spawn(async move {
                let outcome = doing.await.and_then(|done| Ok(serde_json::to_value(done)?));
                let mut state = lock(&service.state);
                if let Err(error) = &outcome {
                    state.book.defects.push(format!("{what}: {error:#}"));
                }
                ended(&mut state.world, number, outcome);
            });
        }
    }

    fn refuse(&self, refusal: &Refusal, standing: Standing) -> Result<Reply> {
        let error = &self.simulator.errors[&refusal.error];
        let field = refusal.field.clone().unwrap_or_default();
        let message = match &refusal.message {
            Some(message) => message.clone(),
            None => self.texts.render(&error.message, &context! { field })?,
        };
        let (status, code) = (error.status, &error.code);
        let body =
            self.texts.render(&self.simulator.error_body, &context! { code, message, field, status })?;
        let mut headers = Vec::new();
        for (name, template) in &error.headers {
            headers.push((name.clone(), self.texts.render(template, &standing.context())?));
        }
        Ok(Reply { status, headers, body, ..Reply::default() })
    }
}

/// A mistake of the description: told to the client, and kept in the ledger so that no test overlooks it.
fn defect(state: &mut State, error: &anyhow::Error) -> Reply {
    let body = format!("the simulator's description is wrong: {error:#}");
    state.book.defects.push(body.clone());
    Reply { status: 500, body, ..Reply::default() }
}
