//! Templates and expressions of a description.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior, Value};
use provider_profiles::Simulator;
use serde_json::Value as Json;

use super::selector;
use super::tags::tags;
use crate::metadata::random_hex;

/// The field that tells a resource's kind; no provider's field has this name.
pub(super) const KIND: &str = "$kind";
/// Names that every template sees besides its own.
pub(super) const GLOBALS: [&str; 13] = [
    "world",
    "now",
    "url",
    "promised",
    "token",
    "show",
    "random",
    "selects",
    "decoded",
    "tags",
    "dict",
    "range",
    "namespace",
];

/// Evaluates them.
#[derive(Debug)]
pub(super) struct Texts {
    environment: Environment<'static>,
}

impl Texts {
    /// With the views of `simulator`'s kinds behind `show(resource)`.
    pub(super) fn new(simulator: &Simulator) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        let views: BTreeMap<String, String> = simulator
            .kinds
            .iter()
            .filter_map(|(name, kind)| Some((name.clone(), kind.view.clone()?)))
            .collect();
        environment.add_function("show", move |state: &State, resource: Value| {
            let kind = resource.get_attr(KIND)?;
            let view = kind.as_str().and_then(|kind| views.get(kind)).ok_or_else(|| {
                Error::new(ErrorKind::InvalidOperation, format!("there is no view of {resource}"))
            })?;
            state.env().render_str(view, with_it(state, &resource))
        });
        environment
            .add_function("selects", |selector: &str, labels: Value| selector::selects(selector, &labels));
        environment.add_function("random", |digits: usize| random_hex(digits));
        // None for what is no base64, or no text.
        environment.add_function("decoded", |text: &str| String::from_utf8(STANDARD.decode(text).ok()?).ok());
        // None when a tag cannot be read.
        environment.add_function("tags", |text: &str, name: &str| Value::from_serialize(tags(text, name)));
        Self { environment }
    }

    /// A template's text.
    pub(super) fn render(&self, template: &str, context: &Value) -> Result<String> {
        self.environment.render_str(template, context).with_context(|| format!("template {template:?}"))
    }

    /// What a template of JSON says.
    pub(super) fn json(&self, template: &str, context: &Value) -> Result<Json> {
        let text = self.render(template, context)?;
        serde_json::from_str(&text).with_context(|| format!("this is not JSON: {text}"))
    }

    /// An expression's value.
    pub(super) fn value(&self, expression: &str, context: &Value) -> Result<Json> {
        let value = self.environment.compile_expression(expression).and_then(|e| e.eval(context));
        let value = value.with_context(|| format!("expression {expression:?}"))?;
        serde_json::to_value(value).with_context(|| format!("expression {expression:?} has no value"))
    }

    /// Whether an expression holds.
    pub(super) fn holds(&self, expression: &str, context: &Value) -> Result<bool> {
        let value = self.environment.compile_expression(expression).and_then(|e| e.eval(context));
        Ok(value.with_context(|| format!("expression {expression:?}"))?.is_true())
    }

    /// The names that a template asks for, with their fields (`machine.size`); an error when it is none.
    pub(super) fn names_in_template(&self, template: &str) -> Result<Vec<String>> {
        let parsed = self.environment.template_from_str(template);
        let parsed = parsed.with_context(|| format!("template {template:?}"))?;
        Ok(parsed.undeclared_variables(true).into_iter().collect())
    }

    /// The same for an expression.
    pub(super) fn names_in_expression(&self, expression: &str) -> Result<Vec<String>> {
        let parsed = self.environment.compile_expression(expression);
        let parsed = parsed.with_context(|| format!("expression {expression:?}"))?;
        Ok(parsed.undeclared_variables(true).into_iter().collect())
    }
}

fn with_it(state: &State, it: &Value) -> Value {
    let known = ["world", "now", "url"].map(|name| (name, state.lookup(name).unwrap_or_default()));
    known.into_iter().chain([("it", it.clone())]).collect()
}
