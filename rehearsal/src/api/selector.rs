//! Label selectors as Kubernetes has them, which some providers took over.
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>

use minijinja::Value;

/// Whether `labels` fit all terms of a selector.
pub(super) fn selects(selector: &str, labels: &Value) -> bool {
    terms(selector).iter().all(|term| fits(term.trim(), labels))
}

/// Splits at the commas outside of parentheses.
fn terms(selector: &str) -> Vec<&str> {
    let (mut terms, mut from, mut within) = (Vec::new(), 0, false);
    for (at, character) in selector.char_indices() {
        match character {
            '(' => within = true,
            ')' => within = false,
            ',' if !within => {
                terms.push(&selector[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&selector[from..]);
    terms
}

fn fits(term: &str, labels: &Value) -> bool {
    let value = |key: &str| {
        let value = labels.get_attr(key.trim()).ok()?;
        value.as_str().map(str::to_owned)
    };
    let among = |key: &str, list: &str| {
        let list = list.trim().trim_start_matches('(').trim_end_matches(')');
        value(key).is_some_and(|value| list.split(',').any(|one| one.trim() == value))
    };
    if let Some((key, list)) = term.split_once(" notin ") {
        !among(key, list)
    } else if let Some((key, list)) = term.split_once(" in ") {
        among(key, list)
    } else if let Some((key, wanted)) = term.split_once("!=") {
        value(key).as_deref() != Some(wanted.trim())
    } else if let Some((key, wanted)) = term.split_once('=') {
        value(key).as_deref() == Some(wanted.trim_start_matches('=').trim())
    } else if let Some(key) = term.strip_prefix('!') {
        value(key).is_none()
    } else {
        value(term).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_takes_what_fits_all_its_terms() {
        let labels = minijinja::context! { app => "echora", stage => "test" };
        for (selector, fits) in [
            ("app", true),
            ("!app", false),
            ("!other", true),
            ("other", false),
            ("app=echora", true),
            ("app==echora,stage=test", true),
            ("app=echora,stage=production", false),
            ("stage!=production", true),
            ("stage in (test, production),app", true),
            ("stage notin (test,production)", false),
            ("other in (a,b)", false),
        ] {
            assert_eq!(selects(selector, &labels), fits, "{selector}");
        }
    }
}
