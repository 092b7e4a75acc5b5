//! The schema of `fixtures/<id>.toml`: what a provider's metadata service answers, and what follows from it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::{Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};

use crate::profile::Doc;

/// A metadata service as exchanges of request and reply. Bodies are minijinja templates over [`Setting`], so that
/// the same file serves as a test's expectation and as the service of a rehearsed machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// Where the shapes come from.
    pub provenance: Vec<Doc>,
    /// A machine as tests use it: with it, the guest must read exactly these values out of the replies.
    pub sample: Instance,
    /// Requests and replies; the first whose requirements are met answers.
    pub exchanges: Vec<Exchange>,
    /// Files of the config drive, where the profile's datasource is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_drive: Option<ConfigDrive>,
}

/// What a metadata service tells of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// The provider's id of the machine.
    pub instance_id: String,
    /// Public IPv4 address.
    pub public_ipv4: Option<String>,
    /// Public IPv6 address.
    pub public_ipv6: Option<String>,
    /// Region as the service writes it.
    pub region: Option<String>,
    /// Host name, where the service tells one.
    pub hostname: Option<String>,
}

/// Everything that the templates of a fixture can refer to.
#[derive(Debug, Clone, Serialize)]
pub struct Setting {
    /// The machine (`instance.public_ipv4`, ...).
    pub instance: Instance,
    /// Name of the machine, also where the service has no field for it.
    pub name: String,
    /// Hardware address of the network card, lower case with colons.
    pub mac: String,
    /// IPv4 gateway.
    pub gateway: String,
    /// IPv4 netmask, dotted.
    pub netmask: String,
    /// Public SSH keys, one line each.
    pub ssh_keys: Vec<String>,
    /// The buyer's user-data; empty when there is none.
    pub user_data: String,
    /// The buyer's settings by name.
    pub inputs: BTreeMap<String, String>,
}

/// One request and its reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// HTTP method.
    #[serde(default = "get")]
    pub method: String,
    /// Path; with `{name}` it stands for one path per buyer's setting, whose value is `value` in the template.
    pub path: String,
    /// Headers that the request must carry for this reply.
    #[serde(default)]
    pub requires: BTreeMap<String, String>,
    /// Whether the reply's body is a new session token (`token` in the template).
    #[serde(default)]
    pub issues_token: bool,
    /// Header that must carry an issued token; without it the reply is 401.
    #[serde(default)]
    pub token_header: Option<String>,
    /// Status of the reply.
    #[serde(default = "ok")]
    pub status: u16,
    /// Content type of the reply.
    #[serde(default = "plain")]
    pub content_type: String,
    /// Body of the reply, a template.
    #[serde(default)]
    pub body: String,
}

/// A config drive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigDrive {
    /// Path on the drive -> content, a template. Files that come out empty are left out.
    pub files: BTreeMap<String, String>,
}

/// A reply, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Content type.
    pub content_type: String,
    /// Body.
    pub body: String,
}

fn get() -> String {
    "GET".into()
}

fn ok() -> u16 {
    200
}

fn plain() -> String {
    "text/plain; charset=utf-8".into()
}

impl Fixture {
    /// The reply to one request, strict as the service itself: 404 for an unknown path, 405 for a known path with
    /// another method, 401 for a missing or unknown token.
    ///
    /// `header` looks a request header up by its name (lower case); `token_is_valid` knows the issued tokens;
    /// `new_token` makes one.
    pub fn reply(
        &self,
        setting: &Setting,
        method: &str,
        path: &str,
        header: impl Fn(&str) -> Option<String>,
        token_is_valid: impl Fn(&str) -> bool,
        new_token: impl FnOnce() -> String,
    ) -> Result<Reply> {
        let mut path_is_known = false;
        for exchange in &self.exchanges {
            let Some(value) = exchange.matches_path(path, &setting.inputs) else {
                continue;
            };
            path_is_known = true;
            let meets = |(name, wanted): (&String, &String)| {
                header(&name.to_ascii_lowercase()).as_ref() == Some(wanted)
            };
            if exchange.method != method || !exchange.requires.iter().all(meets) {
                continue;
            }
            if let Some(name) = &exchange.token_header
                && !header(&name.to_ascii_lowercase()).is_some_and(|t| token_is_valid(&t))
            {
                return Ok(Reply::bare(401));
            }
            let token = if exchange.issues_token { new_token() } else { String::new() };
            let body = render(&exchange.body, setting, &value, &token)
                .with_context(|| format!("fixture: {} {}", exchange.method, exchange.path))?;
            return Ok(Reply { status: exchange.status, content_type: exchange.content_type.clone(), body });
        }
        let method_is_known = self
            .exchanges
            .iter()
            .any(|e| e.method == method && e.matches_path(path, &setting.inputs).is_some());
        Ok(Reply::bare(if path_is_known && !method_is_known { 405 } else { 404 }))
    }

    /// The config drive's files with their content.
    pub fn config_drive_files(&self, setting: &Setting) -> Result<BTreeMap<String, String>> {
        let mut files = BTreeMap::new();
        for (path, template) in self.config_drive.iter().flat_map(|drive| &drive.files) {
            let content =
                render(template, setting, "", "").with_context(|| format!("fixture: config drive {path}"))?;
            if !content.is_empty() {
                files.insert(path.clone(), content);
            }
        }
        Ok(files)
    }
}

impl Exchange {
    /// The setting's value (empty for a plain path) when this exchange answers `path`.
    fn matches_path(&self, path: &str, inputs: &BTreeMap<String, String>) -> Option<String> {
        match self.path.split_once("{name}") {
            None => (self.path == path).then(String::new),
            Some((head, tail)) => {
                let name = path.strip_prefix(head)?.strip_suffix(tail)?;
                inputs.get(name).cloned()
            }
        }
    }
}

impl Reply {
    fn bare(status: u16) -> Self {
        Self { status, content_type: plain(), body: String::new() }
    }
}

fn render(template: &str, setting: &Setting, value: &str, token: &str) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.add_filter("base64", |text: &str| STANDARD.encode(text));
    let context = minijinja::context! { value, token, ..minijinja::Value::from_serialize(setting) };
    Ok(environment.render_str(template, context)?)
}
