//! The app as first boot meets it: the first to register owns it, names are taken once, junk is refused.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::http::Request;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) password: String,
    pub(crate) role: &'static str,
}

/// The app's database.
#[derive(Debug, Default)]
pub(crate) struct App {
    pub(crate) users: Vec<User>,
    pub(crate) settings: BTreeMap<String, String>,
}

impl App {
    /// Does what a request asks for and gives its reply.
    pub(crate) fn answer(&mut self, request: &Request) -> (u16, Value) {
        let form: Value = serde_json::from_str(&request.body).unwrap_or_default();
        let text = |name: &str| form[name].as_str().unwrap_or_default().to_owned();
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/api/auth/register") => {
                self.register(text("username"), text("email"), text("password"))
            }
            ("POST", "/api/auth/login") => self.login(&text("username"), &text("password")),
            ("PUT", "/api/admin/settings") => self.set(request, text("key"), text("value")),
            _ => (404, Value::Null),
        }
    }

    fn register(&mut self, username: String, email: String, password: String) -> (u16, Value) {
        if self.settings.get("registration_mode").is_some_and(|mode| mode == "invite_only") {
            return (403, json!({"error": "Registration requires an invite code"}));
        }
        if !email.split_once('@').is_some_and(|(_, host)| host.contains('.')) || password.len() < 8 {
            return (400, json!({"error": "Invalid form"}));
        }
        if self.users.iter().any(|user| user.username == username || user.email == email) {
            return (409, json!({"error": "Username or email already taken"}));
        }
        let role = if self.users.is_empty() { "owner" } else { "member" };
        self.users.push(User { username, email, password, role });
        (200, session(&self.users[self.users.len() - 1]))
    }

    fn login(&self, username: &str, password: &str) -> (u16, Value) {
        match self.users.iter().find(|user| user.username == username && user.password == password) {
            Some(user) => (200, session(user)),
            None => (401, json!({"error": "Invalid credentials"})),
        }
    }

    fn set(&mut self, request: &Request, key: String, value: String) -> (u16, Value) {
        let caller =
            request.headers.get("authorization").and_then(|header| header.strip_prefix("Bearer token-of-"));
        match self.users.iter().find(|user| Some(user.username.as_str()) == caller) {
            Some(User { role: "owner", .. }) => {
                self.settings.insert(key, value);
                (200, json!({}))
            }
            Some(_) => (403, json!({"error": "Forbidden"})),
            None => (401, json!({"error": "Unauthorized"})),
        }
    }
}

fn session(user: &User) -> Value {
    let User { username, email, role, .. } = user;
    json!({"token": format!("token-of-{username}"), "user": {"username": username, "email": email, "role": role}})
}
