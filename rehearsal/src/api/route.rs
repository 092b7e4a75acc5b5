//! Which call a request is.

use std::collections::BTreeMap;

use provider_profiles::{Call, Simulator};
use serde_json::{Map, Value as Json};

use super::world::plain;

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Route {
    /// A call by its place in the description, with the segments that its names stand for.
    Call(usize, BTreeMap<String, String>),
    /// There are such calls, but none for this value of this field.
    NoneFor(String),
    /// The API has no such call.
    Unknown,
}

/// The call that is meant; of several paths that fit, the one with the fewest names in it.
pub(super) fn find(simulator: &Simulator, method: &str, path: &str, body: &Map<String, Json>) -> Route {
    let fit = |(number, call): (usize, &'_ Call)| {
        if call.method == method { Some((number, segments(&call.path, path)?)) } else { None }
    };
    let mut fitting: Vec<_> = simulator.calls.iter().enumerate().filter_map(fit).collect();
    fitting.sort_by_key(|(_, names)| names.len());
    let Some(fewest) = fitting.first().map(|(_, names)| names.len()) else { return Route::Unknown };
    fitting.retain(|(_, names)| names.len() == fewest);
    let asked_for =
        |(name, value): (&String, &String)| body.get(name).is_some_and(|told| plain(told) == *value);
    let when = |number: usize| &simulator.calls[number].when;
    match fitting.iter().find(|(number, _)| when(*number).iter().all(asked_for)) {
        Some((number, names)) => Route::Call(*number, names.clone()),
        None => Route::NoneFor(when(fitting[0].0).keys().next().cloned().unwrap_or_default()),
    }
}

/// The segments that the names of `pattern` stand for when `path` fits it.
fn segments(pattern: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    let mut names = BTreeMap::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(names),
            (Some(wanted), Some(given)) => match wanted.strip_prefix('{').and_then(|w| w.strip_suffix('}')) {
                Some(name) if !given.is_empty() => {
                    names.insert(name.to_owned(), decode(given));
                }
                _ if wanted == given => {}
                _ => return None,
            },
            _ => return None,
        }
    }
}

/// The names in a pattern.
pub(super) fn names(pattern: &str) -> impl Iterator<Item = &str> {
    pattern.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// A query's parameters, decoded.
pub(super) fn parameters(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(&name.replace('+', " ")), decode(&value.replace('+', " ")))
        })
        .collect()
}

/// Undoes percent encoding; what is none stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let pair = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_one_segment_percent_decoded() {
        let names = segments("/images/{image}/regions", "/images/private%2F9/regions").unwrap();
        assert_eq!(names["image"], "private/9");
        for other in ["/images/regions", "/images//regions", "/images/1/2/regions", "/images/1/regions/"] {
            assert!(segments("/images/{image}/regions", other).is_none(), "{other}");
        }
    }

    #[test]
    fn parameters_are_decoded_and_odd_ones_kept() {
        let found = parameters("a=b%20c&d=e+f&g&h=%zz");
        let found: Vec<_> = found.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(found, [("a", "b c"), ("d", "e f"), ("g", ""), ("h", "%zz")]);
    }
}
