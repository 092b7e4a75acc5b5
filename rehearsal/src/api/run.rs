//! Carries out the steps of a call, and later what was under way.

use anyhow::{Context, Result, bail};
use minijinja::Value;
use provider_profiles::{Simulator, Step};
use serde_json::{Map, Value as Json, json};

use super::clock::date;
use super::fault::Faults;
use super::hypervisor::{Deed, Done};
use super::text::Texts;
use super::world::{Bound, Name, Pending, Scope, World, plain};

/// Why a call is not carried out.
#[derive(Debug)]
pub(super) enum Stop {
    /// The provider refuses it.
    Refused(Refusal),
    /// The description is wrong.
    Defect(anyhow::Error),
}

/// A refusal by an error of the description.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    pub(super) error: String,
    pub(super) message: Option<String>,
    pub(super) field: Option<String>,
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Defect(error)
    }
}

impl Refusal {
    pub(super) fn of(error: &str) -> Self {
        Self { error: error.to_owned(), ..Self::default() }
    }
}

/// A deed for the hypervisor, with the number under which something waits for it.
pub(super) type Begun = (Deed, u64);

/// What steps work on.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) simulator: &'a Simulator,
    pub(super) texts: &'a Texts,
    pub(super) world: &'a mut World,
    pub(super) faults: &'a mut Faults,
    pub(super) begun: &'a mut Vec<Begun>,
    /// The last number that was given to a deed.
    pub(super) deeds: &'a mut u64,
    pub(super) url: &'a str,
    pub(super) promised: &'a Done,
    pub(super) now: f64,
}

impl Run<'_> {
    /// What templates see.
    pub(super) fn context(&self, scope: &Scope) -> Value {
        let bound = scope.iter().map(|(name, bound)| {
            let value = match bound {
                Bound::Resource(name) => self.world.get(name).map_or(Value::UNDEFINED, Value::from_serialize),
                Bound::Value(value) => Value::from_serialize(value),
            };
            (name.clone(), value)
        });
        let own = [
            ("world".to_owned(), self.world.as_value(self.simulator)),
            ("now".to_owned(), Value::from(date(self.now))),
            ("url".to_owned(), Value::from(self.url)),
            ("promised".to_owned(), Value::from_serialize(self.promised)),
        ];
        own.into_iter().chain(bound).collect()
    }

    /// Ends what is due, in the order of its times.
    pub(super) fn catch_up(&mut self, until: f64) -> Result<()> {
        loop {
            let ready = |p: &&Pending| p.due <= until && p.waits_for.is_none();
            let next = self.world.pending.iter().filter(ready).map(|p| p.due).min_by(f64::total_cmp);
            let Some(due) = next else { break };
            let is_next = |p: &Pending| p.waits_for.is_none() && p.due.total_cmp(&due).is_eq();
            let Some(index) = self.world.pending.iter().position(is_next) else { break };
            let Pending { fails, mut scope, steps, failing, .. } = self.world.pending.remove(index);
            self.now = due;
            match self.steps(if fails { &failing } else { &steps }, &mut scope) {
                Ok(()) => {}
                Err(Stop::Defect(error)) => return Err(error),
                Err(Stop::Refused(refusal)) => bail!("{} is refused to nobody", refusal.error),
            }
        }
        self.now = until;
        Ok(())
    }

    /// Carries out steps in their order.
    pub(super) fn steps(&mut self, steps: &[Step], scope: &mut Scope) -> Result<(), Stop> {
        for step in steps {
            let Some(items) = &step.each else {
                self.once(step, scope)?;
                continue;
            };
            let items = self.texts.value(items, &self.context(scope))?;
            for item in items.as_array().context("each: not a list")? {
                scope.insert("it".into(), Bound::Value(item.clone()));
                self.once(step, scope)?;
            }
            scope.remove("it");
        }
        Ok(())
    }

    fn once(&mut self, step: &Step, scope: &mut Scope) -> Result<(), Stop> {
        if self.refers_to_what_has_gone(step, scope) {
            return Ok(());
        }
        let context = self.context(scope);
        if let Some(condition) = &step.only_if
            && !self.texts.holds(condition, &context)?
        {
            return Ok(());
        }
        let fields = || match &step.fields {
            Some(template) => object(self.texts.json(template, &context)?),
            None => Ok(Map::new()),
        };
        if let Some(error) = &step.refuse {
            return Err(self.refusal(error, step, &context)?);
        } else if let Some(name) = &step.find {
            let among = step.among.as_ref().context("find without among")?;
            let value = self.texts.value(step.is.as_deref().context("find without is")?, &context)?;
            match self.world.find(&among.kinds, &among.by, &plain(&value)) {
                Some(found) => drop(scope.insert(name.clone(), Bound::Resource(found))),
                None => return Err(self.refusal(&among.error, step, &context)?),
            }
        } else if let Some(kind) = &step.make {
            let made = self.world.make(self.simulator, self.texts, kind, fields()?, self.now)?;
            scope.insert(step.name.clone().unwrap_or_else(|| kind.clone()), Bound::Resource(made));
        } else if let Some(name) = &step.change {
            let fields = fields()?;
            self.world.change(&resource(scope, name)?, fields)?;
        } else if let Some(name) = &step.delete {
            self.world.delete(&resource(scope, name)?, self.now);
        } else if step.later.is_none() && step.host.is_none() {
            self.steps(&step.steps, scope)?;
        } else {
            self.begin(step, scope, &context)?;
        }
        Ok(())
    }

    /// What was under way may be about something that was deleted or has vanished meanwhile.
    fn refers_to_what_has_gone(&self, step: &Step, scope: &Scope) -> bool {
        let names = [&step.change, &step.delete, &step.on];
        names.into_iter().flatten().any(|name| match scope.get(name) {
            Some(Bound::Resource(name)) => self.world.get(name).is_none(),
            _ => false,
        })
    }

    fn refusal(&self, error: &str, step: &Step, context: &Value) -> Result<Stop> {
        let message = step.message.as_ref().map(|m| self.texts.render(m, context)).transpose()?;
        Ok(Stop::Refused(Refusal { error: error.to_owned(), message, field: step.field.clone() }))
    }

    /// A deed of the hypervisor, something that goes on, or both. What is to fail on demand is not begun.
    fn begin(&mut self, step: &Step, scope: &Scope, context: &Value) -> Result<()> {
        let fate = step.later.as_ref().map(|name| self.faults.fate(name));
        let mut waits_for = None;
        if let Some(host) = &step.host
            && !fate.as_ref().is_some_and(|fate| fate.fails)
        {
            *self.deeds += 1;
            waits_for = Some(*self.deeds);
            self.begun.push((self.deed(host, step, scope, context)?, *self.deeds));
        }
        let Some(fate) = fate else { return Ok(()) };
        self.world.pending.push(Pending {
            due: self.now + step.after * fate.factor,
            waits_for,
            fails: fate.fails,
            scope: scope.clone(),
            steps: step.steps.clone(),
            failing: step.failing.clone(),
        });
        Ok(())
    }

    fn deed(&self, host: &str, step: &Step, scope: &Scope, context: &Value) -> Result<Deed> {
        let on = resource(scope, step.on.as_deref().context("host without on")?)?;
        Ok(match host {
            "start" => {
                let kind = self.simulator.kinds.get(&on.kind).context("a machine's kind")?;
                let order = kind.order.as_deref().context("a kind that can be started needs an order")?;
                let it = self.world.get(&on).map(Value::from_serialize);
                let context = minijinja::context! { it, ..context.clone() };
                let order = self.texts.json(order, &context)?;
                Deed::Start(serde_json::from_value(order).context("the order lacks something")?)
            }
            "power-on" => Deed::PowerOn(on.id),
            "power-off" => Deed::PowerOff(on.id),
            "shut-down" => Deed::ShutDown(on.id),
            "snapshot" => {
                let into = resource(scope, step.into.as_deref().context("snapshot without into")?)?;
                Deed::Snapshot { machine: on.id, snapshot: into.id }
            }
            "delete" => Deed::Delete(on.id),
            "delete-snapshot" => Deed::DeleteSnapshot(on.id),
            other => bail!("the hypervisor has no deed {other}"),
        })
    }
}

/// Tells what waits for deed `number` how it ended.
pub(super) fn ended(world: &mut World, number: u64, outcome: Result<Json>) {
    let Some(pending) = world.pending.iter_mut().find(|p| p.waits_for == Some(number)) else { return };
    pending.waits_for = None;
    pending.fails |= outcome.is_err();
    let told = outcome.unwrap_or_else(|_| json!({}));
    pending.scope.insert("host".into(), Bound::Value(told));
}

fn resource(scope: &Scope, name: &str) -> Result<Name> {
    match scope.get(name) {
        Some(Bound::Resource(name)) => Ok(name.clone()),
        _ => bail!("{name} is no resource"),
    }
}

fn object(value: Json) -> Result<Map<String, Json>> {
    match value {
        Json::Object(fields) => Ok(fields),
        other => bail!("fields have to be an object: {other}"),
    }
}
