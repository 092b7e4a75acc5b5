//! A provider's metadata service for one machine, played from its fixture.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, header};
use provider_profiles::{Entry, Fixture, Instance, Setting};
use tokio::task::JoinHandle;

use crate::network::{GATEWAY_V4, MAC, MACHINE_V4, MACHINE_V6, METADATA, NETMASK_V4, Network};

/// What the service was asked: method, path, status. Never a body or a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// HTTP method.
    pub method: String,
    /// Path of the request.
    pub path: String,
    /// Status of the reply.
    pub status: u16,
}

/// The running service; dropping it stops it.
#[derive(Debug)]
pub struct Metadata {
    service: Arc<Service>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Service {
    fixture: Fixture,
    setting: Setting,
    tokens: Mutex<Vec<String>>,
    asked: Mutex<Vec<Asked>>,
}

impl Metadata {
    /// Serves `fixture` as `setting` on the metadata address of `network`.
    pub async fn serve(network: &Network, fixture: &Fixture, setting: Setting) -> Result<Self> {
        let listener = network.listen(METADATA).await?;
        let service = Arc::new(Service {
            fixture: fixture.clone(),
            setting,
            tokens: Mutex::default(),
            asked: Mutex::default(),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&service));
        let task = tokio::spawn(async move {
            // It ends with the guard; an error of one connection is that connection's.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { service, task })
    }

    /// What the service was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.service.asked).clone()
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(service): State<Arc<Service>>, request: Request) -> Response<Body> {
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let header = |name: &str| text_header(request.headers(), name);
    let known = |token: &str| lock(&service.tokens).iter().any(|issued| issued == token);
    let issue = || {
        let token = random_hex(32);
        lock(&service.tokens).push(token.clone());
        token
    };
    let reply = service.fixture.reply(&service.setting, &method, &path, header, known, issue);
    let (status, content_type, body) = match reply {
        Ok(reply) => (reply.status, reply.content_type, reply.body),
        Err(error) => (500, "text/plain".to_owned(), format!("{error:#}")),
    };
    lock(&service.asked).push(Asked { method, path, status });
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, content_type)
        .body(Body::from(body))
        .unwrap_or_default()
}

fn text_header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the service tells of a new machine: the sample's shapes, this network's addresses, a fresh id.
#[must_use]
pub fn setting_for(
    entry: &Entry,
    keys: Vec<String>,
    user_data: String,
    inputs: BTreeMap<String, String>,
) -> Setting {
    let sample = &entry.fixture.sample;
    let instance = Instance {
        instance_id: fresh_id(&sample.instance_id),
        public_ipv4: Some(MACHINE_V4.to_string()),
        public_ipv6: Some(MACHINE_V6.to_string()),
        region: sample.region.clone(),
        hostname: sample.hostname.clone(),
    };
    Setting {
        name: sample.hostname.clone().unwrap_or_else(|| "echora".into()),
        instance,
        mac: MAC.to_owned(),
        gateway: GATEWAY_V4.to_string(),
        netmask: NETMASK_V4.to_string(),
        ssh_keys: keys,
        user_data,
        inputs,
    }
}

/// A new id of the same shape: every digit after the first is drawn anew, hexadecimal where the sample is. Of an id with
/// dots only the last part is the machine's own.
fn fresh_id(sample: &str) -> String {
    let alphabet =
        if sample.chars().any(|c| c.is_ascii_alphabetic()) { "0123456789abcdef" } else { "0123456789" };
    let mut drawn = random_hex(sample.len().max(16) * 2).into_bytes().into_iter();
    let mut draw = |c: char| match (c.is_ascii_hexdigit(), drawn.next()) {
        (true, Some(byte)) => char::from(alphabet.as_bytes()[usize::from(byte) % alphabet.len()]),
        _ => c,
    };
    let kept = sample.rfind('.').unwrap_or(0);
    sample.char_indices().map(|(index, c)| if index <= kept { c } else { draw(c) }).collect()
}

/// Random hexadecimal digits for ids and session tokens of a local service: unlike others, not secret.
pub(crate) fn random_hex(digits: usize) -> String {
    let mut text = String::new();
    while text.len() < digits {
        text.push_str(&format!("{:016x}", RandomState::new().build_hasher().finish()));
    }
    text.truncate(digits);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_ids_keep_the_shape_and_differ() {
        let (one, two) = (fresh_id("cb676a46-66fd-4dfb"), fresh_id("cb676a46-66fd-4dfb"));
        assert_ne!(one, two);
        assert!(one.starts_with('c') && one.chars().nth(8) == Some('-') && one.len() == 18, "{one}");
        let number = fresh_id("4711");
        assert!(number.starts_with('4') && number.parse::<u32>().is_ok(), "{number}");
    }
}
