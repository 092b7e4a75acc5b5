//! Whether a request's body is one that the call takes.

use anyhow::Result;
use provider_profiles::{Call, FieldType, Simulator, UnknownFields};
use serde_json::{Map, Value as Json};

use super::run::{Refusal, Run, Stop};
use super::world::{Bound, Scope};

/// At the end of a parameter's name: it may come several times, and all its values are a list.
pub(super) const SEVERAL: char = '*';

/// The body as an object: an empty one where there is none.
pub(super) fn body(bytes: &[u8]) -> Result<Map<String, Json>, Refusal> {
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(bytes) {
        Ok(Json::Object(fields)) => Ok(fields),
        _ => Err(Refusal::of("malformed")),
    }
}

/// Checks the body's fields and binds `request` to them; those that are absent are none. Returns unknown fields.
pub(super) fn check(
    run: &Run<'_>,
    call: &Call,
    body: &Map<String, Json>,
    scope: &mut Scope,
) -> Result<Vec<String>, Stop> {
    let known = |name: &String| call.fields.contains_key(name) || call.when.contains_key(name);
    let unknown: Vec<String> = body.keys().filter(|name| !known(name)).cloned().collect();
    if let (UnknownFields::Refused, Some(name)) = (run.simulator.unknown_fields, unknown.first()) {
        return Err(refused("unknown_field", name, None));
    }
    let mut request: Map<String, Json> =
        call.when.keys().map(|name| (name.clone(), body.get(name).cloned().unwrap_or_default())).collect();
    for (name, field) in &call.fields {
        let value = body.get(name).cloned().unwrap_or_default();
        if value.is_null() {
            if field.required {
                return Err(refused("missing", name, None));
            }
        } else if !field.types.iter().any(|wanted| has_type(&value, *wanted)) {
            return Err(refused("wrong_type", name, None));
        }
        request.insert(name.clone(), value);
    }
    scope.insert("request".into(), Bound::Value(request.clone().into()));
    for (name, field) in &call.fields {
        let Some(check) = field.check.as_ref().filter(|_| !request[name].is_null()) else { continue };
        scope.insert("it".into(), Bound::Value(request[name].clone()));
        let context = run.context(scope);
        if !run.texts.holds(check, &context)? {
            let message = field.message.as_ref().map(|m| run.texts.render(m, &context)).transpose()?;
            return Err(refused(&field.error, name, message));
        }
    }
    scope.remove("it");
    Ok(unknown)
}

/// Binds `query` to the parameters that the call knows; those that are absent are none. Returns the others.
pub(super) fn query(
    simulator: &Simulator,
    call: &Call,
    parameters: &[(String, String)],
    scope: &mut Scope,
) -> Vec<String> {
    let value = |name: &str| match name.strip_suffix(SEVERAL) {
        Some(name) => {
            let all = parameters.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
            (name.to_owned(), all.collect())
        }
        None => {
            let first = parameters.iter().find(|(n, _)| n == name);
            (name.to_owned(), first.map_or(Json::Null, |(_, value)| value.as_str().into()))
        }
    };
    let known: Map<String, Json> = call.query.iter().map(|name| value(name)).collect();
    scope.insert("query".into(), Bound::Value(known.clone().into()));
    let of_pages = |name: &String| {
        call.list.is_some() && (*name == simulator.pages.page || *name == simulator.pages.size)
    };
    let others = parameters.iter().map(|(name, _)| name);
    others.filter(|name| !known.contains_key(*name) && !of_pages(name)).cloned().collect()
}

fn refused(error: &str, field: &str, message: Option<String>) -> Stop {
    Stop::Refused(Refusal { error: error.to_owned(), message, field: Some(field.to_owned()) })
}

fn has_type(value: &Json, wanted: FieldType) -> bool {
    let all = |is: fn(&Json) -> bool| value.as_array().is_some_and(|items| items.iter().all(is));
    let whole: fn(&Json) -> bool = |value| value.is_i64() || value.is_u64();
    match wanted {
        FieldType::String => value.is_string(),
        FieldType::Integer => whole(value),
        FieldType::Number => value.is_number(),
        FieldType::Boolean => value.is_boolean(),
        FieldType::Strings => all(Json::is_string),
        FieldType::Integers => all(whole),
        FieldType::List => value.is_array(),
        FieldType::Object => value.is_object(),
    }
}
