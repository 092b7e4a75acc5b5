//! A maintainer's account at a provider: what it holds, what of that is ours, and how that goes away again.

mod check;
mod claims;
mod client;
mod id;
mod journal;
pub mod keep;
pub mod leftovers;
pub mod orphans;
mod place;
mod resume;
mod sweep;

use std::fmt;

use anyhow::{Context, Result, ensure};
use provider_profiles::{Api, ApiPageKind, Profile, Resource};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{Exit, Fault};
use client::Client;

pub use check::Wanted;
pub use claims::Claims;
pub use client::Refused;
pub use id::{BuildId, LONGEST, MAKER};
pub use journal::{Begun, Journal};
pub use resume::Progress;
pub use sweep::{Left, Sweep, Swept};

/// No list of ours has so many pages: a provider that never ends is not followed for ever.
const MOST_PAGES: usize = 200;

/// The kinds of things that a build makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A machine to build on.
    Machine,
    /// What comes of it.
    Snapshot,
    /// The key that lets the builder in.
    Key,
    /// A label that stays in the account when nothing has it.
    Label,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Machine => "machine",
            Self::Snapshot => "snapshot",
            Self::Key => "SSH key",
            Self::Label => "label",
        })
    }
}

/// Something that the account holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Its kind.
    pub kind: Kind,
    /// The provider's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The build that made it; none for everything that is not ours.
    pub build: Option<BuildId>,
    /// When it was made, as the provider writes it.
    pub created: Option<String>,
    /// When it was made in Unix seconds, by the name that a plugin gave it of itself.
    #[serde(skip)]
    pub own_time: Option<i64>,
}

impl Held {
    /// Whether it is what a builder's artifact id names, which may put the region before the id.
    #[must_use]
    pub fn is(&self, artifact: &str) -> bool {
        artifact.strip_suffix(&self.id).is_some_and(|region| region.is_empty() || region.ends_with(':'))
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)?;
        if self.name == self.id { Ok(()) } else { write!(f, " ({})", self.name) }
    }
}

/// An account that a token opens.
#[derive(Debug, Clone)]
pub struct Account {
    provider: String,
    api: Api,
    client: Client,
}

impl Account {
    /// The account of `profile`'s provider; none where the profile does not say how it is asked.
    pub fn open(profile: &Profile) -> Result<Option<Self>> {
        let Some(api) = profile.api.clone() else { return Ok(None) };
        let variable = &profile.packer.token.environment;
        let token = std::env::var(variable).unwrap_or_default();
        if token.is_empty() {
            let what = format!("{variable} is not set: it opens your account at {}", profile.name);
            let cure = format!("set it to an API token from {}", api.check.token_page);
            return Err(Fault::new(Exit::Missing, what, cure).into());
        }
        let other = api.endpoint.as_ref().and_then(|name| std::env::var(name).ok());
        let base = other.filter(|base| !base.is_empty()).unwrap_or_else(|| api.base.clone());
        Self::at(profile, &base, token)
    }

    /// The same at another address, with a token that is no secret of the environment.
    pub fn at(profile: &Profile, base: &str, token: String) -> Result<Option<Self>> {
        let Some(api) = profile.api.clone() else { return Ok(None) };
        let client = Client::new(base, token)?;
        Ok(Some(Self { provider: profile.id.clone(), api, client }))
    }

    /// The provider's id.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Everything of a kind that the account holds, ours or not.
    pub async fn held(&self, kind: Kind) -> Result<Vec<Held>> {
        let Some(resource) = self.resource(kind) else { return Ok(Vec::new()) };
        let items = self.list(&resource.list, &resource.items).await;
        let items = items.with_context(|| format!("cannot list every {kind} at {}", self.provider))?;
        Ok(items.iter().filter_map(|item| held(kind, resource, item)).collect())
    }

    /// Everything in the account that carries a build's name.
    pub async fn ours(&self) -> Result<Vec<Held>> {
        Ok(self.ours_by(&Claims::default()).await?.0)
    }

    /// The same with what `claims` tell to be a build's, and apart from it what they leave open.
    pub async fn ours_by(&self, claims: &Claims) -> Result<(Vec<Held>, Vec<Held>)> {
        let (mut ours, mut unsure) = (Vec::new(), Vec::new());
        for kind in [Kind::Machine, Kind::Snapshot, Kind::Key, Kind::Label] {
            let mut held = self.held(kind).await?;
            unsure.extend(claims.settle(&mut held));
            ours.extend(held.into_iter().filter(|held| held.build.is_some()));
        }
        Ok((ours, unsure))
    }

    /// Deletes; what is gone already is as good.
    pub async fn delete(&self, held: &Held) -> Result<()> {
        let resource = self.resource(held.kind).context("the profile does not say how it is deleted")?;
        let path = resource.delete.replace("{id}", &encoded(&held.id));
        self.client.delete(&path).await.with_context(|| format!("cannot delete {} {}", held.kind, held.id))
    }

    /// Registers an SSH key under a build's name and returns its id; none where the profile has no use for it.
    pub async fn register(&self, build: &BuildId, public_key: &str) -> Result<Option<String>> {
        let Some(register) = &self.api.register else { return Ok(None) };
        let body = Map::from_iter([
            (register.name.clone(), build.to_string().into()),
            (register.key.clone(), public_key.into()),
        ]);
        let answer = self.client.post(&register.path, &body.into()).await;
        let answer = answer.context("cannot register the build's SSH key")?;
        place::text(&answer.body, &register.id).context("the provider tells no id of the SSH key").map(Some)
    }

    fn resource(&self, kind: Kind) -> Option<&Resource> {
        match kind {
            Kind::Machine => Some(&self.api.machines),
            Kind::Snapshot => Some(&self.api.snapshots),
            Kind::Key => self.api.keys.as_ref(),
            Kind::Label => self.api.labels.as_ref(),
        }
    }

    /// All items of a list, page by page.
    async fn list(&self, path: &str, key: &str) -> Result<Vec<Value>> {
        let pages = &self.api.pages;
        let mut items = Vec::new();
        let mut page: Option<String> = None;
        for number in 2..=MOST_PAGES {
            let parameters = pages.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let parameters = parameters.chain(page.as_deref().map(|page| (pages.page.as_str(), page)));
            let mut asked = path.to_owned();
            for (name, value) in parameters {
                let joint = if asked.contains('?') { '&' } else { '?' };
                asked.push_str(&format!("{joint}{name}={}", encoded(value)));
            }
            let body = self.client.get(&asked).await?.body;
            let list = place::first(&body, key).and_then(Value::as_array);
            items.extend(
                list.with_context(|| format!("the reply to {path} has no list {key:?}"))?.iter().cloned(),
            );
            let next = place::text(&body, &pages.next);
            let more = match pages.kind {
                ApiPageKind::Number => {
                    place::first(&body, &pages.next).is_some_and(|next| *next != "" && *next != 0)
                }
                ApiPageKind::Total => {
                    next.and_then(|last| last.parse().ok()).is_some_and(|last: usize| number <= last)
                }
                ApiPageKind::Cursor => {
                    page = next.filter(|cursor| !cursor.is_empty());
                    if page.is_none() {
                        return Ok(items);
                    }
                    continue;
                }
            };
            if !more {
                return Ok(items);
            }
            page = Some(number.to_string());
        }
        ensure!(page.is_none(), "the list at {path} does not end");
        Ok(items)
    }
}

fn held(kind: Kind, resource: &Resource, item: &Value) -> Option<Held> {
    let name = place::text(item, &resource.name).unwrap_or_default();
    let labels: Vec<String> = resource.labels.iter().flat_map(|place| place::texts(item, place)).collect();
    let build = labels.iter().chain([&name]).find_map(|text| BuildId::read(text));
    // Somebody may call a machine after the image that it runs. A build's machine has its marks from the moment it is made;
    // a snapshot may get them later.
    let unmarked = kind == Kind::Machine && !resource.labels.is_empty() && !labels.iter().any(|l| l == MAKER);
    let build = build.filter(|_| !unmarked);
    let created = resource.created.as_ref().and_then(|place| place::text(item, place));
    let own_time = resource.own_name.as_ref().and_then(|own| own.made_at(&name));
    Some(Held { kind, id: place::text(item, &resource.id)?, name, build, created, own_time })
}

/// A text as one piece of a path or a parameter.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_machine_is_a_builds_when_it_has_the_makers_mark_and_a_snapshot_by_its_name_too() {
        let resource: Resource = toml::from_str(
            "list = '/m'\nitems = 'm'\nid = 'id'\nname = 'name'\nlabels = ['tags/*']\ndelete = '/m/{id}'\n",
        )
        .unwrap();
        let build = "echora-20261124-103205-a1b2c3";
        let ours = |kind, name: &str, tags: &[&str]| {
            held(kind, &resource, &json!({"id": 1, "name": name, "tags": tags})).unwrap().build.is_some()
        };
        assert!(ours(Kind::Machine, "builder", &[MAKER, build]));
        assert!(ours(Kind::Machine, build, &[MAKER]));
        assert!(!ours(Kind::Machine, build, &[]) && !ours(Kind::Machine, "chat", &[build, "production"]));
        assert!(!ours(Kind::Machine, "chat", &[MAKER]));
        assert!(ours(Kind::Snapshot, build, &[]));
    }
}
