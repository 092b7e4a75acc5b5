//! One HTTP client for all providers: it waits where it is told to, tries again where that can do no harm, and never
//! shows the token.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Method, StatusCode};
use serde_json::Value;

/// For one try, from the connection to the reply's last byte.
const TRY: Duration = Duration::from_secs(20);
/// For a call with all its tries.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between tries: from this, doubled each time, to that.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(8));
/// How much of a refusal is shown.
const SHOWN: usize = 300;

/// Asks one account.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

/// A whole reply.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    /// Nothing where the body is empty.
    pub(super) body: Value,
}

/// A reply that is a refusal.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The call in words.
    pub call: String,
    /// HTTP status.
    pub status: u16,
    /// The beginning of what the provider says.
    pub says: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: status {}: {}", self.call, self.status, self.says)
    }
}

impl std::error::Error for Refused {}

impl Client {
    /// A client for the account that `token` opens at `base`.
    pub(super) fn new(base: &str, token: String) -> Result<Self> {
        let mut builder = reqwest::Client::builder().timeout(TRY);
        builder = builder.user_agent(concat!("echora-images/", env!("CARGO_PKG_VERSION")));
        // As the plugins, which are programs of Go, do.
        if let Some(file) = std::env::var_os("SSL_CERT_FILE") {
            let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            for certificate in Certificate::from_pem_bundle(&text).context("SSL_CERT_FILE is damaged")? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let http = builder.build().context("cannot make an HTTP client")?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), token })
    }

    /// Reads.
    pub(super) async fn get(&self, path: &str) -> Result<Answer> {
        self.call(Method::GET, path, None).await
    }

    /// Orders; nothing that the provider may have begun is ordered twice.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Deletes; what is gone already is as good.
    pub(super) async fn delete(&self, path: &str) -> Result<()> {
        match self.call(Method::DELETE, path, None).await {
            Err(error) if error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == 404) => {
                Ok(())
            }
            done => done.map(drop),
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let end = Instant::now() + PATIENCE;
        let mut pause = PAUSES.0;
        loop {
            let (error, wait) = match self.attempt(&method, path, body).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing(error, wait)) => (error, wait),
            };
            // Zero seconds are no invitation to ask without a pause.
            let wait = wait.map_or(pause, |wait| wait.max(pause));
            if Instant::now() + wait > end {
                return Err(error.context(format!("gave up after {} s", PATIENCE.as_secs())));
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn attempt(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Answer, Failure> {
        let call = format!("{method} {}", path.split('?').next().unwrap_or_default());
        let repeatable = *method != Method::POST;
        let unreached = |error: reqwest::Error| {
            // The address of the call is ours; what a proxy adds to it is not to be shown.
            let harmless = repeatable || error.is_connect();
            let error = anyhow::Error::new(error.without_url()).context(format!("{call} failed"));
            if harmless { Failure::Passing(error, None) } else { Failure::Final(error) }
        };
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        request = request.bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let reply = request.send().await.map_err(unreached)?;
        let (status, headers) = (reply.status(), reply.headers().clone());
        let text = reply.text().await.map_err(unreached)?;
        if status.is_success() {
            let body = if text.trim().is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text) };
            let body =
                body.with_context(|| format!("{call}: the reply is no JSON")).map_err(Failure::Final)?;
            return Ok(Answer { headers, body });
        }
        let says = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect();
        let refused = anyhow::Error::new(Refused { call, status: status.as_u16(), says });
        let passing = status == StatusCode::TOO_MANY_REQUESTS || (repeatable && status.is_server_error());
        if passing {
            let wait = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            return Err(Failure::Passing(refused, wait.map(Duration::from_secs)));
        }
        Err(Failure::Final(refused))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base).field("token", &"***").finish_non_exhaustive()
    }
}

enum Failure {
    Final(anyhow::Error),
    Passing(anyhow::Error, Option<Duration>),
}
