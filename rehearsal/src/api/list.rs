//! Lists, cut into pages as the provider does.

use std::num::NonZeroUsize;

use anyhow::{Context, Result};
use minijinja::context;
use provider_profiles::{Call, Listing, PageKind, Pages};
use serde_json::Value as Json;

use super::filter::Filter;
use super::run::{Refusal, Run};
use super::world::Scope;

/// The page that a request asks for.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// The list's path.
    pub(super) path: &'a str,
    /// The request's parameters.
    pub(super) parameters: &'a [(String, String)],
    /// What of the list it wants.
    pub(super) filter: Option<Filter>,
}

/// Whether the provider takes the number of items that a request wants on a page.
pub(super) fn check(pages: &Pages, call: &Call, parameters: &[(String, String)]) -> Result<(), Refusal> {
    let wanted = parameters.iter().find(|(name, _)| *name == pages.size);
    let Some((_, size)) = wanted.filter(|_| pages.strict && call.list.is_some()) else { return Ok(()) };
    match size.parse() {
        Ok(size) if (pages.minimum..=pages.maximum).contains(&size) => Ok(()),
        _ => Err(Refusal { field: Some(pages.size.clone()), ..Refusal::of("invalid") }),
    }
}

/// The body of one page.
pub(super) fn page(run: &Run<'_>, listing: &Listing, wanted: &Wanted<'_>, scope: &Scope) -> Result<String> {
    let pages = &run.simulator.pages;
    let mut items = items(run, listing, scope)?;
    if let Some(filter) = &wanted.filter {
        items = filter.apply(items)?;
    }
    let parameter =
        |name: &str| wanted.parameters.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let size =
        parameter(&pages.size).and_then(|text| text.parse().ok()).map_or(pages.default, NonZeroUsize::get);
    let size = size.clamp(pages.minimum, pages.maximum);
    let count = items.len().div_ceil(size).max(1);
    let asked = parameter(&pages.page).unwrap_or_default();
    let page = match pages.kind {
        PageKind::Number => asked.parse().map_or(1, NonZeroUsize::get),
        PageKind::Cursor => number_in(asked),
    };
    let name = |number: usize| match pages.kind {
        PageKind::Number => Json::from(number),
        PageKind::Cursor => Json::from(format!("{CURSOR}{number}")),
    };
    let next = (page < count).then(|| name(page + 1));
    let previous = (page > 1).then(|| name(page - 1));
    let shown: Vec<String> = items.iter().skip((page - 1) * size).take(size).cloned().collect();
    let others = wanted.parameters.iter().filter(|(n, _)| *n != pages.page && *n != pages.size);
    let query: String = others.map(|(name, value)| format!("&{name}={value}")).collect();
    let context = context! {
        key => listing.key, items => format!("[{}]", shown.join(",")), total => items.len(), size, page,
        pages => count, next, previous, address => format!("{}{}", run.url, wanted.path), query,
    };
    run.texts.render(&pages.body, &context)
}

/// What is shown of each resource.
fn items(run: &Run<'_>, listing: &Listing, scope: &Scope) -> Result<Vec<String>> {
    let context = run.context(scope);
    let resources = run.texts.value(&listing.of, &context)?;
    let resources = resources.as_array().context("a list has to be of a list")?;
    let view = listing.view.as_deref().unwrap_or("{{ show(it) }}");
    let mut items = Vec::new();
    for resource in resources {
        let context = context! { it => resource, ..context.clone() };
        if listing.only.as_ref().map_or(Ok(true), |only| run.texts.holds(only, &context))? {
            items.push(run.texts.render(view, &context)?);
        }
    }
    Ok(items)
}

/// Before the number, so that nobody takes a cursor for one.
const CURSOR: &str = "bmV4dF9f";

/// The page that a cursor leads to: the first when it is none of ours.
fn number_in(cursor: &str) -> usize {
    cursor.strip_prefix(CURSOR).and_then(|number| number.parse().ok()).map_or(1, NonZeroUsize::get)
}
