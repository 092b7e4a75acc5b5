//! Values in a reply, by their place: keys with slashes between them, `*` for every element.

use serde_json::Value;

/// All values at `place`; none where a key is missing.
pub(super) fn all<'a>(value: &'a Value, place: &str) -> Vec<&'a Value> {
    let mut found = vec![value];
    for key in place.split('/') {
        found = found.into_iter().flat_map(|value| below(value, key)).collect();
    }
    found
}

/// The first value at `place` that is more than nothing.
pub(super) fn first<'a>(value: &'a Value, place: &str) -> Option<&'a Value> {
    all(value, place).into_iter().find(|value| !value.is_null())
}

/// The first value at `place` as a text: providers write the same id once as a number and once as a text.
pub(super) fn text(value: &Value, place: &str) -> Option<String> {
    first(value, place).and_then(plain)
}

/// All values at `place` as texts.
pub(super) fn texts(value: &Value, place: &str) -> Vec<String> {
    all(value, place).into_iter().filter_map(plain).collect()
}

/// The first number at `place`, which may be written as a text.
pub(super) fn number(value: &Value, place: &str) -> Option<f64> {
    text(value, place)?.parse().ok()
}

fn below<'a>(value: &'a Value, key: &str) -> Vec<&'a Value> {
    match (key, value) {
        ("*", Value::Array(items)) => items.iter().collect(),
        ("*", Value::Object(fields)) => fields.values().collect(),
        (key, value) => value.get(key).into_iter().collect(),
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn places_lead_through_objects_and_lists() {
        let reply =
            json!({"id": 7, "tags": ["a", "b"], "labels": {"x": "1"}, "prices": [{"at": "n"}, {"at": "s"}]});
        assert_eq!(text(&reply, "id").unwrap(), "7");
        assert_eq!(texts(&reply, "tags/*"), ["a", "b"]);
        assert_eq!(texts(&reply, "labels/*"), ["1"]);
        assert_eq!(texts(&reply, "prices/*/at"), ["n", "s"]);
        assert_eq!(texts(&reply, "tags/x"), [""; 0]);
        assert_eq!(text(&json!({"a": null}), "a"), None);
        assert_eq!(number(&json!({"a": "0.5"}), "a"), Some(0.5));
    }
}
