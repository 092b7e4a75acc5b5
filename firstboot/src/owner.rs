//! The owner's account, made over loopback before anybody else can reach the app.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use ureq::Agent;

use crate::inputs::Inputs;
use crate::secrets::Owner;

/// Password hashing on one slow processor.
const REPLY: Duration = Duration::from_secs(60);

/// The backend on loopback.
#[derive(Debug)]
pub(crate) struct Backend<'a> {
    base: &'a str,
    agent: Agent,
}

impl<'a> Backend<'a> {
    pub(crate) fn new(base: &'a str) -> Self {
        Self::within(base, REPLY)
    }

    /// One that is given less time for a reply.
    pub(crate) fn within(base: &'a str, reply: Duration) -> Self {
        let config =
            Agent::config_builder().timeout_global(Some(reply)).http_status_as_error(false).proxy(None);
        Self { base, agent: config.build().into() }
    }

    /// Makes the owner, or finds it made by a run that was cut off, and returns a session of it.
    pub(crate) fn ensure_owner(&self, owner: &Owner) -> Result<String> {
        let form = json!({"username": owner.username, "email": owner.email, "password": owner.password});
        let (status, body) = self.post("/api/auth/register", &form)?;
        let session = match status {
            200 => body,
            // Taken, or closed to newcomers: the account may be ours.
            403 | 409 => self.sign_in(owner)?,
            _ => bail!("the app refused the owner's account (status {status}): {}", body["error"]),
        };
        match (session["user"]["role"].as_str(), session["token"].as_str()) {
            (Some("owner"), Some(token)) => Ok(token.to_owned()),
            (role, _) => bail!(
                "the account {} is {} and not the owner: somebody else was first, do not use this server",
                owner.username,
                role.unwrap_or("nothing")
            ),
        }
    }

    fn sign_in(&self, owner: &Owner) -> Result<Value> {
        let form = json!({"username": owner.username, "password": owner.password});
        match self.post("/api/auth/login", &form)? {
            (200, body) => Ok(body),
            (status, _) => {
                bail!("the name {} is taken and its password is not ours (status {status})", owner.username)
            }
        }
    }

    /// Applies what the buyer wants of the server; invitations only come last, when there is somebody to invite.
    pub(crate) fn apply(&self, inputs: &Inputs, token: &str) -> Result<()> {
        let name = inputs.server_name.as_ref().map(|name| ("server_name", name.as_str()));
        let mode = inputs.invite_only.then_some(("registration_mode", "invite_only"));
        for (key, value) in name.into_iter().chain(mode) {
            let request = self
                .agent
                .put(self.url("/api/admin/settings"))
                .header("Authorization", format!("Bearer {token}"));
            let reply = request.send_json(json!({"key": key, "value": value}));
            let status =
                reply.with_context(|| format!("the app did not take the setting {key}"))?.status().as_u16();
            if status != 200 {
                bail!("the app refused the setting {key} (status {status})");
            }
        }
        Ok(())
    }

    /// Whether the app answers and reaches its database: a login with junk must be refused, which takes a query.
    pub(crate) fn is_ready(&self) -> Result<()> {
        match self.post("/api/auth/login", &json!({"username": "-", "password": "-"}))? {
            (401, body) if body["error"].is_string() => Ok(()),
            (status, _) => bail!("the app answered a login with status {status}"),
        }
    }

    fn post(&self, path: &str, form: &Value) -> Result<(u16, Value)> {
        let mut reply = self
            .agent
            .post(self.url(path))
            .send_json(form)
            .with_context(|| format!("the app did not answer {path}"))?;
        let status = reply.status().as_u16();
        match reply.body_mut().read_json() {
            Ok(body) => Ok((status, body)),
            // A session that broke off may be of an account that was made: no reply at all, and nobody else's.
            Err(error) if status == 200 => {
                Err(error).with_context(|| format!("the app's answer to {path} broke off"))
            }
            // Refusals of the framework are plain text.
            Err(_) => Ok((status, Value::Null)),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}
