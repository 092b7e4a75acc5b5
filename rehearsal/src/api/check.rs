//! Finds the mistakes of a description when it is loaded, not in the middle of a call.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use provider_profiles::{Bind, Call, Kind, Simulator, Step};
use serde_json::{Map, Value as Json};

use super::request::SEVERAL;
use super::route;
use super::scope;
use super::text::{GLOBALS, Texts};

/// The names that a text may use, with their fields where these are known.
type Names<'a> = BTreeMap<&'a str, Option<BTreeSet<String>>>;

const DEEDS: [&str; 7] =
    ["start", "power-on", "power-off", "shut-down", "snapshot", "delete", "delete-snapshot"];

/// Checks the whole description.
pub(super) fn check(simulator: &Simulator, texts: &Texts) -> Result<()> {
    let checker = Checker { simulator, texts };
    for name in Simulator::ERRORS {
        ensure!(simulator.errors.contains_key(name), "the error {name} is not described");
    }
    checker.template(&simulator.error_body, &plain(&["code", "message", "field", "status"]))?;
    for (name, error) in &simulator.errors {
        checker.template(&error.message, &plain(&["field"])).with_context(|| format!("error {name}"))?;
        for header in error.headers.values() {
            checker.template(header, &plain(&RATE)).with_context(|| format!("error {name}"))?;
        }
    }
    for name in &simulator.plugin.asks_again {
        checker.error(name).context("plugin")?;
    }
    checker.fields_of(&simulator.plugin.leaves).context("plugin")?;
    for (name, header) in &simulator.rate.headers {
        checker.template(header, &plain(&RATE)).with_context(|| format!("header {name}"))?;
    }
    for (name, header) in &simulator.headers {
        checker
            .template(header, &plain(&["scopes", "accepted"]))
            .with_context(|| format!("header {name}"))?;
    }
    for (name, variable) in &simulator.environment {
        checker.template(variable, &Names::new()).with_context(|| format!("environment {name}"))?;
    }
    checker.template(&simulator.pages.body, &plain(&PAGE)).context("pages")?;
    for (name, kind) in &simulator.kinds {
        checker.kind(name, kind).with_context(|| format!("kind {name}"))?;
    }
    for call in &simulator.calls {
        checker.call(call).with_context(|| format!("call {} {}", call.method, call.path))?;
    }
    Ok(())
}

const RATE: [&str; 4] = ["limit", "remaining", "reset", "wait"];
const PAGE: [&str; 10] =
    ["key", "items", "total", "size", "page", "pages", "next", "previous", "address", "query"];

fn plain<'a>(names: &[&'a str]) -> Names<'a> {
    names.iter().map(|name| (*name, None)).collect()
}

struct Checker<'a> {
    simulator: &'a Simulator,
    texts: &'a Texts,
}

impl<'a> Checker<'a> {
    fn kind(&self, name: &'a str, kind: &Kind) -> Result<()> {
        let fields = self.fields_of(&[name.to_owned()])?;
        if kind.id != "number" && kind.id != "uuid" {
            self.template(&kind.id, &plain(&["n"]))?;
        }
        if let Some(field) = &kind.name {
            ensure!(fields.contains(field), "its name is no field of it: {field}");
        }
        for seed in seeds(kind)? {
            if let Some(key) = seed.keys().find(|key| !fields.contains(*key)) {
                bail!("a seed has a field that the kind has not: {key}");
            }
        }
        let it = Names::from([("it", Some(fields))]);
        self.optional_template(kind.view.as_ref(), &it).context("view")?;
        self.optional_template(kind.order.as_ref(), &it).context("order")?;
        self.optional_expression(kind.hourly.as_ref(), &it).context("hourly")
    }

    fn call(&self, call: &'a Call) -> Result<()> {
        if let Some(scope) = &call.scope {
            ensure!(scope::is_one(scope), "{scope} is no scope");
        }
        self.error(&call.stranger)?;
        let mut names = Names::new();
        for name in route::names(&call.path) {
            let own = vec![name.to_owned()];
            let kinds = call.bind.get(name).map_or(&own, |bind| &bind.kinds);
            names.insert(name, Some(self.fields_of(kinds)?));
        }
        for (name, bind) in &call.bind {
            ensure!(names.contains_key(name.as_str()), "bind: {name} is not in the path");
            self.bind(bind)?;
        }
        let fields = call.fields.keys().chain(call.when.keys()).cloned().collect();
        names.insert("request", Some(fields));
        let query = call.query.iter().map(|name| name.trim_end_matches(SEVERAL).to_owned());
        names.insert("query", Some(query.collect()));
        for (name, field) in &call.fields {
            let mut names = names.clone();
            names.insert("it", None);
            ensure!(!field.types.is_empty(), "field {name} has no type");
            self.error(&field.error)?;
            self.optional_expression(field.check.as_ref(), &names)
                .with_context(|| format!("field {name}"))?;
            self.optional_template(field.message.as_ref(), &names)
                .with_context(|| format!("field {name}"))?;
        }
        self.steps(&call.steps, &mut names)?;
        if let Some(list) = &call.list {
            self.expression(&list.of, &names).context("list")?;
            names.insert("it", None);
            self.optional_expression(list.only.as_ref(), &names).context("list")?;
            self.optional_template(list.view.as_ref(), &names).context("list")?;
            names.remove("it");
        }
        self.template(&call.body, &names).context("body")
    }

    fn steps(&self, steps: &'a [Step], names: &mut Names<'a>) -> Result<()> {
        for (number, step) in steps.iter().enumerate() {
            self.step(step, names).with_context(|| format!("step {}", number + 1))?;
        }
        Ok(())
    }

    fn step(&self, step: &'a Step, names: &mut Names<'a>) -> Result<()> {
        let deed = step.later.is_some() || step.host.is_some();
        let verbs = [&step.refuse, &step.find, &step.make, &step.change, &step.delete];
        let verbs = verbs.iter().filter(|verb| verb.is_some()).count() + usize::from(deed);
        let groups = verbs == 0 && !step.steps.is_empty();
        ensure!(groups || verbs == 1, "it has to do exactly one thing, it does {verbs}");
        self.optional_expression(step.each.as_ref(), names)?;
        if step.each.is_some() {
            names.insert("it", None);
        }
        self.optional_expression(step.only_if.as_ref(), names)?;
        self.optional_template(step.message.as_ref(), names)?;
        self.optional_template(step.fields.as_ref(), names)?;
        for name in [&step.change, &step.delete, &step.on, &step.into].into_iter().flatten() {
            ensure!(names.contains_key(name.as_str()), "{name} is bound to nothing");
        }
        if let Some(error) = &step.refuse {
            self.error(error)?;
        }
        if let Some(name) = &step.find {
            let among = step.among.as_ref().context("find without among")?;
            self.bind(among)?;
            self.expression(step.is.as_ref().context("find without is")?, names)?;
            names.insert(name, Some(self.fields_of(&among.kinds)?));
        }
        if let Some(kind) = &step.make {
            let fields = self.fields_of(std::slice::from_ref(kind))?;
            names.insert(step.name.as_ref().unwrap_or(kind), Some(fields));
        }
        if let Some(host) = &step.host {
            ensure!(DEEDS.contains(&host.as_str()), "the hypervisor has no deed {host}");
            ensure!(step.on.is_some(), "host without on");
            ensure!((host == "snapshot") == step.into.is_some(), "into belongs to snapshot");
        }
        let mut then = names.clone();
        if step.host.is_some() {
            then.insert("host", Some(["ipv4", "ipv6", "gigabytes"].map(str::to_owned).into()));
        }
        self.steps(&step.steps, &mut then.clone())?;
        self.steps(&step.failing, &mut then)
    }

    fn bind(&self, bind: &Bind) -> Result<()> {
        self.error(&bind.error)?;
        let fields = self.fields_of(&bind.kinds)?;
        match bind.by.iter().find(|field| !fields.contains(*field)) {
            Some(field) => bail!("{} have no field {field}", bind.kinds.join(", ")),
            None => Ok(()),
        }
    }

    fn error(&self, name: &str) -> Result<()> {
        ensure!(self.simulator.errors.contains_key(name), "there is no error {name}");
        Ok(())
    }

    /// The fields that resources of these kinds can have.
    fn fields_of(&self, kinds: &[String]) -> Result<BTreeSet<String>> {
        let mut fields: BTreeSet<String> = ["id", "created"].map(str::to_owned).into();
        for name in kinds {
            let kind = self.simulator.kinds.get(name).with_context(|| format!("there is no kind {name}"))?;
            let own: Map<String, Json> =
                serde_json::from_str(&kind.fields).with_context(|| format!("fields of kind {name}"))?;
            fields.extend(own.keys().cloned());
        }
        Ok(fields)
    }

    fn template(&self, template: &str, names: &Names<'_>) -> Result<()> {
        self.known(&self.texts.names_in_template(template)?, names)
            .with_context(|| format!("template {template:?}"))
    }

    fn expression(&self, expression: &str, names: &Names<'_>) -> Result<()> {
        self.known(&self.texts.names_in_expression(expression)?, names)
            .with_context(|| format!("expression {expression:?}"))
    }

    fn optional_template(&self, template: Option<&String>, names: &Names<'_>) -> Result<()> {
        template.map_or(Ok(()), |template| self.template(template, names))
    }

    fn optional_expression(&self, expression: Option<&String>, names: &Names<'_>) -> Result<()> {
        expression.map_or(Ok(()), |expression| self.expression(expression, names))
    }

    fn known(&self, used: &[String], names: &Names<'_>) -> Result<()> {
        for name in used {
            let mut parts = name.split('.');
            let root = parts.next().unwrap_or_default();
            let field = parts.next();
            if root == "world" {
                let kind = field.unwrap_or_default();
                ensure!(self.simulator.kinds.contains_key(kind), "there is no kind {kind}");
                continue;
            }
            match (names.get(root), field) {
                (Some(Some(fields)), Some(field)) => {
                    ensure!(fields.contains(field), "{root} has no field {field}");
                }
                (Some(_), _) => {}
                (None, _) => ensure!(GLOBALS.contains(&root), "nothing is called {root} here"),
            }
        }
        Ok(())
    }
}

fn seeds(kind: &Kind) -> Result<Vec<Map<String, Json>>> {
    kind.seeds.as_deref().map_or(Ok(Vec::new()), |text| serde_json::from_str(text).context("seeds"))
}
