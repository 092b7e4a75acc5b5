//! The metadata service, asked as the plan says.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use provider_profiles::{Metadata, Place};
use ureq::Agent;

use crate::document::Node;
use crate::instance::Instance;
use crate::settings::without_line_end;
use crate::system::System;

/// How long to try, on the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For everything together, as long as nobody answers.
    pub total: Duration,
    /// The same once the service has answered, if only with a trouble of its own.
    pub troubled: Duration,
    /// For one request.
    pub attempt: Duration,
    /// Between two attempts.
    pub pause: Duration,
}

impl Default for Patience {
    /// The services answer in milliseconds; a minute covers those that come up late. One that answers at all is worth more
    /// of it: what the buyer chose is asked for at first boot and never again. One attempt is given what the providers'
    /// own agents give it: <https://github.com/canonical/cloud-init/blob/main/cloudinit/url_helper.py>.
    fn default() -> Self {
        Self {
            total: Duration::from_secs(60),
            troubled: Duration::from_secs(180),
            attempt: Duration::from_secs(5),
            pause: Duration::from_millis(500),
        }
    }
}

impl Patience {
    /// This patience within the longest wait of `system`.
    pub(crate) fn at_most(self, system: &System) -> Self {
        Self {
            total: system.at_most(self.total),
            troubled: system.at_most(self.troubled),
            attempt: system.at_most(self.attempt),
            pause: system.at_most(self.pause),
        }
    }
}

/// Asks a metadata service.
#[derive(Debug)]
pub struct Client<'a> {
    plan: &'a Metadata,
    base: &'a str,
    agent: Agent,
    patience: Patience,
    began: Instant,
    answers: bool,
    token: Option<String>,
}

impl<'a> Client<'a> {
    /// A client for `plan`; `base` replaces its address. Nothing is sent yet, but the clock runs.
    #[must_use]
    pub fn new(plan: &'a Metadata, base: Option<&'a str>, patience: Patience) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("echora-firstboot/", env!("CARGO_PKG_VERSION")));
        let base = base.unwrap_or(&plan.base);
        Self {
            plan,
            base,
            agent: config.build().into(),
            patience,
            began: Instant::now(),
            answers: false,
            token: None,
        }
    }

    /// The machine as the service tells it. An id is the least: without one the service has told nothing.
    pub fn instance(&mut self) -> Result<Instance> {
        let mut documents = BTreeMap::new();
        for (name, document) in &self.plan.documents {
            let read = |body: &str| Node::parse(document.format, body);
            if let Some(node) = self.get(&document.path, &document.headers, &read)? {
                documents.insert(name.as_str(), node);
            }
        }
        let fields = &self.plan.fields;
        let read = |places: &[Place]| places.iter().find_map(|place| value(&documents, place));
        let address = |places: &[Place], is_of_family: fn(&IpAddr) -> bool| {
            let is_address = |text: &String| text.parse().is_ok_and(|address| is_of_family(&address));
            places.iter().filter_map(|place| value(&documents, place)).find(is_address)
        };
        let instance = Instance {
            id: read(&fields.instance_id),
            public_ipv4: address(&fields.public_ipv4, IpAddr::is_ipv4),
            public_ipv6: address(&fields.public_ipv6, IpAddr::is_ipv6),
            region: read(&fields.region),
            hostname: read(&fields.hostname),
        };
        if instance.id.is_none() {
            bail!("the metadata service told no instance id");
        }
        Ok(instance)
    }

    /// One value by its path: any settled reply but a 200 with a body is unset.
    pub fn variable(&mut self, path: &str, headers: &BTreeMap<String, String>) -> Result<Option<String>> {
        match self.get(path, headers, &|body| Ok(without_line_end(body).to_owned())) {
            Ok(text) => Ok(text.filter(|text| !text.trim().is_empty())),
            Err(error) => match error.downcast_ref::<Status>() {
                Some(status) if !self.should_retry(status.0) => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// A document, tried until the end of patience. A body that cannot be read counts as broken: services that come
    /// up answer with pages of their own.
    fn get<T>(
        &mut self,
        path: &str,
        headers: &BTreeMap<String, String>,
        read: &dyn Fn(&str) -> Result<T>,
    ) -> Result<Option<T>> {
        self.retry(path, |client| {
            client.ensure_token()?;
            let mut request = ureq::http::Request::get(client.url(path));
            for (name, value) in headers {
                request = request.header(name, value);
            }
            if let (Some(dance), Some(token)) = (&client.plan.token, &client.token) {
                request = request.header(&dance.header, token);
            }
            match client.send(request) {
                Ok(body) => read(&body).map(Some),
                Err(error) if error.downcast_ref::<Status>().is_some_and(|status| is_absent(status.0)) => {
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        })
    }

    fn ensure_token(&mut self) -> Result<()> {
        let Some(dance) = &self.plan.token else {
            return Ok(());
        };
        if self.token.is_some() {
            return Ok(());
        }
        let mut request =
            ureq::http::Request::builder().method(dance.method.as_str()).uri(self.url(&dance.path));
        for (name, value) in &dance.headers {
            request = request.header(name, value);
        }
        let token = self.send(request)?.trim().to_owned();
        // A page of a service that comes up is no token, and no header's value either.
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            bail!("it gave something that is no token");
        }
        self.token = Some(token);
        Ok(())
    }

    /// The body of a 200; every other status is an error. No attempt goes on after the end of patience.
    fn send(&mut self, request: ureq::http::request::Builder) -> Result<String> {
        let left = self.end().saturating_duration_since(Instant::now()).max(self.patience.pause);
        let request = request.body(()).context("the plan's request is no request")?;
        let request = self
            .agent
            .configure_request(request)
            .timeout_global(Some(left.min(self.patience.attempt)))
            .build();
        let mut reply = self.agent.run(request)?;
        self.answers = true;
        match reply.status().as_u16() {
            200 => reply.body_mut().read_to_string().context("the answer broke off"),
            status => Err(Status(status).into()),
        }
    }

    fn retry<T>(&mut self, path: &str, mut attempt: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        loop {
            match attempt(self) {
                Ok(done) => return Ok(done),
                Err(error) => {
                    let status = error.downcast_ref::<Status>().map(|status| status.0);
                    if status == Some(401) {
                        // It may have come up anew and forgotten the token.
                        self.token = None;
                    }
                    let over = Instant::now() + self.patience.pause >= self.end();
                    if over || !status.is_none_or(|status| self.should_retry(status)) {
                        return Err(error)
                            .with_context(|| format!("the metadata service failed at {}", self.url(path)));
                    }
                    thread::sleep(self.patience.pause);
                }
            }
        }
    }

    /// The end of patience.
    fn end(&self) -> Instant {
        self.began + if self.answers { self.patience.troubled } else { self.patience.total }
    }

    /// What may get better: the server's own trouble, too many requests, and a token that can be asked for anew.
    fn should_retry(&self, status: u16) -> bool {
        match status {
            401 => self.plan.token.is_some(),
            408 | 425 | 429 | 500..=599 => true,
            _ => false,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// A status that is neither an answer nor an absence.
#[derive(Debug)]
struct Status(u16);

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it answered with status {}", self.0)
    }
}

impl std::error::Error for Status {}

/// 204 is how one provider says that there is none, 404 how the others do.
fn is_absent(status: u16) -> bool {
    matches!(status, 204 | 404)
}

fn value(documents: &BTreeMap<&str, Node>, place: &Place) -> Option<String> {
    let node = documents.get(place.document.as_str())?;
    if let Some(condition) = &place.when
        && node.text(&condition.pointer) != Some(&condition.equals)
    {
        return None;
    }
    let text = node.text(&place.pointer)?;
    let text = if place.prefix_length { text.split('/').next().unwrap_or(text) } else { text };
    Some(text.to_owned())
}
