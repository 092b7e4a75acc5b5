//! A buyer's machine as its users reach it: HTTPS from within its network.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::network::Network;

const CONNECT: Duration = Duration::from_secs(10);
/// Password hashing under emulation takes seconds.
const REPLY: Duration = Duration::from_secs(60);

/// A login to prove.
#[derive(Clone)]
pub struct Login {
    /// Where the site is.
    pub url: String,
    /// The account's name.
    pub username: String,
    /// The account's password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("url", &self.url)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// The front door of the machine in a network.
#[derive(Debug)]
pub struct FrontDoor<'a> {
    network: &'a Network,
    url: String,
}

/// A reply with its body as JSON; a body that is none comes as text.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl<'a> FrontDoor<'a> {
    /// The door at `url` (`https://203.0.113.7`).
    #[must_use]
    pub fn new(network: &'a Network, url: &str) -> Self {
        Self { network, url: url.trim_end_matches('/').to_owned() }
    }

    /// One request; `body` is sent as JSON.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Result<Answer> {
        let url = format!("{}{path}", self.url);
        let token = token.map(str::to_owned);
        let what = format!("{method} {url}");
        let ask = async move || {
            // The certificate is the machine's own CA's: whoever knows the address has nothing else to compare.
            let builder =
                Client::builder().danger_accept_invalid_certs(true).connect_timeout(CONNECT).timeout(REPLY);
            let client = builder.no_proxy().build().context("cannot make an HTTP client")?;
            let mut request = client.request(method, url);
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            if let Some(body) = body {
                request = request.json(&body);
            }
            let reply = request.send().await.context("no answer")?;
            let status = reply.status().as_u16();
            let text = reply.text().await.context("the answer broke off")?;
            Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
        };
        self.network.inside(ask).await.with_context(|| what)
    }

    /// Signs in and asks who is signed in: the role of the account.
    pub async fn prove(&self, login: &Login) -> Result<String> {
        let token = self.sign_in(login).await?;
        let me = self.ask(Method::GET, "/api/auth/me", Some(&token), None).await?;
        ensure!(me.status == 200, "GET /api/auth/me answered {}", me.status);
        ensure!(
            me.body["username"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(&login.username)),
            "somebody else is signed in: {}",
            me.body["username"]
        );
        me.body["role"].as_str().map(str::to_owned).context("the account has no role")
    }

    /// Signs in; the session's token.
    pub async fn sign_in(&self, login: &Login) -> Result<String> {
        let body = json!({"username": login.username, "password": login.password});
        let answer = self.ask(Method::POST, "/api/auth/login", None, Some(body)).await?;
        match (answer.status, answer.body["token"].as_str()) {
            (200, Some(token)) => Ok(token.to_owned()),
            (status, _) => bail!("the login was refused with status {status}: {}", answer.body["error"]),
        }
    }

    /// Registers an account; its role.
    pub async fn register(&self, username: &str, password: &str) -> Result<String> {
        let body =
            json!({"username": username, "email": format!("{username}@example.org"), "password": password});
        let answer = self.ask(Method::POST, "/api/auth/register", None, Some(body)).await?;
        ensure!(
            answer.status == 200,
            "registering was refused with status {}: {}",
            answer.status,
            answer.body["error"]
        );
        answer.body["user"]["role"].as_str().map(str::to_owned).context("the new account has no role")
    }
}
