//! The metadata service, asked as the plan says.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use provider_profiles::{Metadata, Place};
use ureq::Agent;

use crate::document::Node;
use crate::instance::Instance;

/// How long to try, on the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For everything together.
    pub total: Duration,
    /// For one request.
    pub attempt: Duration,
    /// Between two attempts.
    pub pause: Duration,
}

impl Default for Patience {
    /// The services answer in milliseconds; a minute covers those that come up late. One attempt is given what the
    /// providers' own agents give it: <https://github.com/canonical/cloud-init/blob/main/cloudinit/url_helper.py>.
    fn default() -> Self {
        Self { total: Duration::from_secs(60), attempt: Duration::from_secs(5), pause: Duration::from_millis(500) }
    }
}

/// Asks a metadata service.
#[derive(Debug)]
pub struct Client<'a> {
    plan: &'a Metadata,
    base: &'a str,
    agent: Agent,
    patience: Patience,
    end: Instant,
    token: Option<String>,
}

/// A document: there, or not there; broken is an error.
type Found = Option<String>;

impl<'a> Client<'a> {
    /// A client for `plan`; `base` replaces its address. Nothing is sent yet, but the clock runs.
    #[must_use]
    pub fn new(plan: &'a Metadata, base: Option<&'a str>, patience: Patience) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(patience.attempt))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("echora-firstboot/", env!("CARGO_PKG_VERSION")));
        let base = base.unwrap_or(&plan.base);
        Self { plan, base, agent: config.build().into(), patience, end: Instant::now() + patience.total, token: None }
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
        let address = |places: &[Place]| {
            let is_address = |text: &String| text.parse::<IpAddr>().is_ok();
            places.iter().filter_map(|place| value(&documents, place)).find(is_address)
        };
        let instance = Instance {
            id: read(&fields.instance_id),
            public_ipv4: address(&fields.public_ipv4),
            public_ipv6: address(&fields.public_ipv6),
            region: read(&fields.region),
            hostname: read(&fields.hostname),
        };
        if instance.id.is_none() {
            bail!("the metadata service told no instance id");
        }
        Ok(instance)
    }

    /// One value by its path: anything but a 200 with a body is unset.
    pub fn variable(&mut self, path: &str, headers: &BTreeMap<String, String>) -> Result<Option<String>> {
        let text = self.get(path, headers, &|body| Ok(body.trim().to_owned()))?;
        Ok(text.filter(|text| !text.is_empty()))
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
            let mut request = client.agent.get(client.url(path));
            for (name, value) in headers {
                request = request.header(name, value);
            }
            if let (Some(dance), Some(token)) = (&client.plan.token, &client.token) {
                request = request.header(&dance.header, token);
            }
            let found = client.answer(request.call())?;
            found.map(|body| read(&body)).transpose()
        })
    }

    fn ensure_token(&mut self) -> Result<()> {
        let Some(dance) = &self.plan.token else { return Ok(()) };
        if self.token.is_some() {
            return Ok(());
        }
        let mut request = ureq::http::Request::builder().method(dance.method.as_str()).uri(self.url(&dance.path));
        for (name, value) in &dance.headers {
            request = request.header(name, value);
        }
        let request = request.body(()).context("the plan's token request is no request")?;
        let token = self.answer(self.agent.run(request))?.unwrap_or_default();
        if token.trim().is_empty() {
            bail!("it gave an empty token");
        }
        self.token = Some(token.trim().to_owned());
        Ok(())
    }

    fn answer(&self, reply: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Found> {
        let mut reply = reply.map_err(|error| anyhow!("{error}"))?;
        match reply.status().as_u16() {
            200 => reply.body_mut().read_to_string().map(Some).context("the answer broke off"),
            status if is_absent(status) => Ok(None),
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
                    let over = Instant::now() + self.patience.pause >= self.end;
                    if over || !status.is_none_or(should_retry) {
                        return Err(error).with_context(|| format!("the metadata service failed at {}", self.url(path)));
                    }
                    thread::sleep(self.patience.pause);
                }
            }
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

/// What may get better: the server's own trouble, too many requests, and a token that is asked for anew.
fn should_retry(status: u16) -> bool {
    matches!(status, 401 | 408 | 425 | 429 | 500..=599)
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


#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_get_better_is_tried_again() {
        for status in [401, 408, 425, 429, 500, 502, 503, 504, 599] {
            assert!(should_retry(status), "{status}");
        }
        for status in [200, 204, 301, 400, 403, 404, 405, 410, 600] {
            assert!(!should_retry(status), "{status}");
        }
    }
}
