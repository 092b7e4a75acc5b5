//! Filters of lists that come as JSON: `{"status": "ready", "size": {"+gt": 3}, "+order_by": "created"}`.

use std::cmp::Ordering;

use anyhow::Result;
use serde_json::{Map, Value as Json};

use super::run::Refusal;
use super::world::plain;

/// Which items of a list are wanted, in which order.
#[derive(Debug)]
pub(super) struct Filter {
    wanted: Map<String, Json>,
    order_by: Option<String>,
    descending: bool,
}

impl Filter {
    /// Reads a filter; one with an operator that there is not is malformed.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let malformed = |_| Refusal::of("malformed");
        let mut wanted: Map<String, Json> = serde_json::from_str(text).map_err(malformed)?;
        let order_by = wanted.remove("+order_by").map(|field| plain(&field));
        let descending = wanted.remove("+order").is_some_and(|order| order == "desc");
        if !is_sound(&wanted) {
            return Err(Refusal::of("malformed"));
        }
        Ok(Self { wanted, order_by, descending })
    }

    /// The wanted ones of items that are JSON.
    pub(super) fn apply(&self, items: Vec<String>) -> Result<Vec<String>> {
        let mut kept = Vec::new();
        for text in items {
            let item: Json = serde_json::from_str(&text)?;
            if fits(&self.wanted, &item) {
                kept.push((item, text));
            }
        }
        if let Some(field) = &self.order_by {
            kept.sort_by(|(a, _), (b, _)| compare(at(a, field), at(b, field)).unwrap_or(Ordering::Equal));
            if self.descending {
                kept.reverse();
            }
        }
        Ok(kept.into_iter().map(|(_, text)| text).collect())
    }
}

fn is_sound(wanted: &Map<String, Json>) -> bool {
    let all_sound = |list: &Json| {
        list.as_array().is_some_and(|all| all.iter().all(|one| one.as_object().is_some_and(is_sound)))
    };
    wanted.iter().all(|(name, value)| match name.as_str() {
        "+and" | "+or" => all_sound(value),
        name if name.starts_with('+') => false,
        _ => value.as_object().is_none_or(|asked| asked.iter().all(|(o, v)| holds(o, v, v).is_some())),
    })
}

fn fits(wanted: &Map<String, Json>, item: &Json) -> bool {
    let fits_one = |one: &Json| one.as_object().is_some_and(|one| fits(one, item));
    let parts = |value: &Json| value.as_array().cloned().unwrap_or_default();
    wanted.iter().all(|(name, value)| match name.as_str() {
        "+and" => parts(value).iter().all(fits_one),
        "+or" => parts(value).iter().any(fits_one),
        field => {
            let found = at(item, field);
            match value.as_object() {
                Some(asked) => {
                    asked.iter().all(|(operator, value)| holds(operator, found, value) == Some(true))
                }
                None => equal(found, value),
            }
        }
    })
}

/// Whether `found OPERATOR wanted`; none when there is no such operator.
fn holds(operator: &str, found: &Json, wanted: &Json) -> Option<bool> {
    let order = || compare(found, wanted);
    Some(match operator {
        "+eq" => equal(found, wanted),
        "+neq" => !equal(found, wanted),
        "+gt" => order() == Some(Ordering::Greater),
        "+gte" => order().is_some_and(Ordering::is_ge),
        "+lt" => order() == Some(Ordering::Less),
        "+lte" => order().is_some_and(Ordering::is_le),
        "+contains" => match found.as_str() {
            Some(text) => text.contains(&plain(wanted)),
            None => equal(found, wanted),
        },
        _ => return None,
    })
}

/// A list equals what is in it.
fn equal(found: &Json, wanted: &Json) -> bool {
    found == wanted || found.as_array().is_some_and(|items| items.contains(wanted))
}

fn compare(a: &Json, b: &Json) -> Option<Ordering> {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.partial_cmp(&b),
        _ => Some(a.as_str()?.cmp(b.as_str()?)),
    }
}

/// The value at a path such as `entity.id`.
fn at<'a>(item: &'a Json, path: &str) -> &'a Json {
    path.split('.').try_fold(item, |at, name| at.get(name)).unwrap_or(&Json::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEMS: [&str; 3] = [
        r#"{"id": 1, "name": "one", "tags": ["a"], "about": {"id": 7}, "created": "2026-01-01T00:00:00"}"#,
        r#"{"id": 2, "name": "two", "tags": [], "about": {"id": 8}, "created": "2026-01-03T00:00:00"}"#,
        r#"{"id": 3, "name": "three", "tags": ["a", "b"], "about": null, "created": "2026-01-02T00:00:00"}"#,
    ];

    fn kept(filter: &str) -> Vec<i64> {
        let items = ITEMS.iter().map(|item| (*item).to_owned()).collect();
        let kept = Filter::parse(filter).unwrap().apply(items).unwrap();
        kept.iter().map(|item| serde_json::from_str::<Json>(item).unwrap()["id"].as_i64().unwrap()).collect()
    }

    #[test]
    fn a_filter_keeps_what_fits_in_the_order_that_it_asks_for() {
        for (filter, wanted) in [
            ("{}", &[1_i64, 2, 3] as &[_]),
            (r#"{"name": "two"}"#, &[2]),
            (r#"{"about.id": 7}"#, &[1]),
            (r#"{"about.id": "7"}"#, &[]),
            (r#"{"tags": "a"}"#, &[1, 3]),
            (r#"{"name": {"+contains": "t"}}"#, &[2, 3]),
            (r#"{"tags": {"+contains": "b"}}"#, &[3]),
            (r#"{"name": {"+neq": "two"}}"#, &[1, 3]),
            (r#"{"id": {"+gt": 1, "+lt": 3}}"#, &[2]),
            (r#"{"created": {"+gte": "2026-01-02T00:00:00"}}"#, &[2, 3]),
            (r#"{"created": {"+lte": "2026-01-02T00:00:00"}}"#, &[1, 3]),
            (r#"{"+or": [{"id": 1}, {"name": "two"}]}"#, &[1, 2]),
            (r#"{"+and": [{"tags": "a"}, {"id": {"+eq": 3}}]}"#, &[3]),
            (r#"{"+order_by": "created"}"#, &[1, 3, 2]),
            (r#"{"tags": "a", "+order_by": "created", "+order": "desc"}"#, &[3, 1]),
        ] {
            assert_eq!(kept(filter), wanted, "{filter}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for wrong in ["", "[]", r#"{"id": {"+like": 1}}"#, r#"{"+not": []}"#, r#"{"+or": {"id": 1}}"#] {
            assert_eq!(Filter::parse(wrong).unwrap_err().error, "malformed", "{wrong}");
        }
    }
}
