//! What exists in the account, and what is still under way.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use minijinja::Value;
use provider_profiles::{Simulator, Step};
use serde_json::{Map, Value as Json};

use super::clock::date;
use super::ledger::Line;
use super::text::{KIND, Texts};
use crate::metadata::random_hex;

/// A resource by kind and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) kind: String,
    pub(super) id: String,
}

/// What a name in a call stands for.
#[derive(Debug, Clone)]
pub(super) enum Bound {
    /// A resource as it is when it is looked at.
    Resource(Name),
    /// A value.
    Value(Json),
}

/// The names of a call.
pub(super) type Scope = BTreeMap<String, Bound>;

/// Something under way.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    /// The virtual time of its end.
    pub(super) due: f64,
    /// The hypervisor's deed that it waits for, until that has ended.
    pub(super) waits_for: Option<u64>,
    /// Whether it ends badly.
    pub(super) fails: bool,
    pub(super) scope: Scope,
    pub(super) steps: Vec<Step>,
    pub(super) failing: Vec<Step>,
}

/// All resources with what is under way. A copy of it is worked on, so that a refused call leaves no trace.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    resources: Vec<Map<String, Json>>,
    count: u64,
    pub(super) pending: Vec<Pending>,
    pub(super) lines: Vec<Line>,
}

/// An id as paths and comparisons have it.
pub(super) fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn field<'a>(resource: &'a Map<String, Json>, name: &str) -> &'a Json {
    resource.get(name).unwrap_or(&Json::Null)
}

impl World {
    /// The catalogue: what is there before anybody has called.
    pub(super) fn new(simulator: &Simulator, texts: &Texts, now: f64) -> Result<Self> {
        let mut world = Self { count: 1000, ..Self::default() };
        for (name, kind) in &simulator.kinds {
            let Some(seeds) = &kind.seeds else { continue };
            let seeds: Vec<Map<String, Json>> =
                serde_json::from_str(seeds).with_context(|| format!("seeds of kind {name}"))?;
            for fields in seeds {
                world.make(simulator, texts, name, fields, now).with_context(|| format!("kind {name}"))?;
            }
        }
        world.lines.clear();
        Ok(world)
    }

    /// Makes a resource; fields that its kind does not have are an error of the description.
    pub(super) fn make(
        &mut self,
        simulator: &Simulator,
        texts: &Texts,
        kind_name: &str,
        fields: Map<String, Json>,
        now: f64,
    ) -> Result<Name> {
        let kind = simulator.kinds.get(kind_name).with_context(|| format!("there is no kind {kind_name}"))?;
        self.count += 1;
        let id = match kind.id.as_str() {
            "number" => Json::from(self.count),
            "uuid" => Json::from(uuid()),
            template => Json::from(texts.render(template, &minijinja::context! { n => self.count })?),
        };
        let mut resource: Map<String, Json> = serde_json::from_str(&kind.fields)?;
        resource.insert("id".into(), fields.get("id").cloned().unwrap_or(id));
        resource.insert("created".into(), date(now).into());
        resource.insert(KIND.into(), kind_name.into());
        merge(&mut resource, fields)?;
        let name = Name { kind: kind_name.into(), id: plain(&resource["id"]) };
        self.resources.push(resource.clone());
        if kind.held {
            let hourly = match &kind.hourly {
                Some(expression) => texts.value(expression, &self.with_it(&resource))?.as_f64(),
                None => None,
            };
            self.lines.push(Line {
                kind: name.kind.clone(),
                id: name.id.clone(),
                name: plain(field(&resource, kind.name.as_deref().unwrap_or("id"))),
                hourly: hourly.unwrap_or_default(),
                made: date(now),
                gone: None,
            });
        }
        Ok(name)
    }

    /// Changes a resource; one that has gone is left alone.
    pub(super) fn change(&mut self, name: &Name, fields: Map<String, Json>) -> Result<()> {
        match self.resources.iter_mut().find(|r| is(r, name)) {
            Some(resource) => merge(resource, fields),
            None => Ok(()),
        }
    }

    /// Deletes a resource.
    pub(super) fn delete(&mut self, name: &Name, now: f64) {
        self.resources.retain(|r| !is(r, name));
        let line = self.lines.iter_mut().rev().find(|l| l.kind == name.kind && l.id == name.id);
        if let Some(line) = line.filter(|l| l.gone.is_none()) {
            line.gone = Some(date(now));
        }
    }

    /// The newest resource of one of `kinds` of which one of the fields `by` has this value.
    pub(super) fn find(&self, kinds: &[String], by: &[String], value: &str) -> Option<Name> {
        let fits = |r: &&Map<String, Json>| {
            kinds.iter().any(|kind| field(r, KIND) == kind.as_str())
                && by.iter().any(|name| !field(r, name).is_null() && plain(field(r, name)) == value)
        };
        let found = self.resources.iter().rev().find(fits)?;
        Some(Name { kind: plain(field(found, KIND)), id: plain(field(found, "id")) })
    }

    /// A resource's fields.
    pub(super) fn get(&self, name: &Name) -> Option<&Map<String, Json>> {
        self.resources.iter().find(|r| is(r, name))
    }

    /// The resources of a kind, oldest first.
    pub(super) fn of(&self, kind: &str) -> Vec<Name> {
        let of = self.resources.iter().filter(|r| field(r, KIND) == kind);
        of.map(|r| Name { kind: kind.to_owned(), id: plain(field(r, "id")) }).collect()
    }

    /// All resources by kind, as templates see them.
    pub(super) fn as_value(&self, simulator: &Simulator) -> Value {
        let mut kinds: BTreeMap<&str, Vec<&Map<String, Json>>> =
            simulator.kinds.keys().map(|kind| (kind.as_str(), Vec::new())).collect();
        for resource in &self.resources {
            kinds.entry(field(resource, KIND).as_str().unwrap_or_default()).or_default().push(resource);
        }
        Value::from_serialize(kinds)
    }

    fn with_it(&self, it: &Map<String, Json>) -> Value {
        let mut kinds: BTreeMap<&str, Vec<&Map<String, Json>>> = BTreeMap::new();
        for resource in &self.resources {
            kinds.entry(field(resource, KIND).as_str().unwrap_or_default()).or_default().push(resource);
        }
        minijinja::context! { world => kinds, it => it }
    }
}

fn is(resource: &Map<String, Json>, name: &Name) -> bool {
    field(resource, KIND) == name.kind.as_str() && plain(field(resource, "id")) == name.id
}

fn merge(resource: &mut Map<String, Json>, fields: Map<String, Json>) -> Result<()> {
    for (name, value) in fields {
        let known = resource.get_mut(&name).with_context(|| format!("the kind has no field {name}"))?;
        *known = value;
    }
    Ok(())
}

fn uuid() -> String {
    let hex = random_hex(32);
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}
