//! Tags in a script's comments (`# <UDF name="domain" label="Domain" />`), by which providers read a form out of it.

use std::collections::BTreeMap;

/// A tag's attributes; names in lower case, as `oneOf` and `oneof` are both in use.
pub(super) type Tag = BTreeMap<String, String>;

/// The tags `<NAME ... />` of a text in their order; none when one of them cannot be read.
pub(super) fn tags(text: &str, name: &str) -> Option<Vec<Tag>> {
    let open = format!("<{name}");
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(&open) {
        rest = after;
        // Another tag, whose name begins alike.
        if after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            continue;
        }
        let (tag, after) = attributes(after)?;
        found.push(tag);
        rest = after;
    }
    Some(found)
}

/// The attributes up to the tag's end, and what follows. A tag is of one line.
fn attributes(text: &str) -> Option<(Tag, &str)> {
    let mut tag = Tag::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if let Some(after) = rest.strip_prefix("/>").or_else(|| rest.strip_prefix('>')) {
            return Some((tag, after));
        }
        let (name, value) = rest.split_once('=')?;
        let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let quote = value.chars().next().filter(|c| ['"', '\''].contains(c))?;
        let (value, after) = value[1..].split_once(quote)?;
        let twice = tag.insert(name.to_ascii_lowercase(), value.to_owned()).is_some();
        if !named || twice || value.contains('\n') {
            return None;
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(pairs: &[(&str, &str)]) -> Tag {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn tags_are_read_with_their_attributes_in_any_notation() {
        let text = "#!/bin/sh\n# <UDF name=\"a\" label=\"At > b / c\" oneOf='x,y' default=\"\"/>\n# <UDFS no=\"1\">\n#<UDF label=\"\" name=\"b\">\n";
        let wanted = vec![
            tag(&[("name", "a"), ("label", "At > b / c"), ("oneof", "x,y"), ("default", "")]),
            tag(&[("label", ""), ("name", "b")]),
        ];
        assert_eq!(tags(text, "UDF"), Some(wanted));
        assert_eq!(tags("echo", "UDF"), Some(Vec::new()));
    }

    #[test]
    fn what_is_no_whole_tag_is_none() {
        for text in [
            "<UDF name=\"a\"",
            "<UDF name=a />",
            "<UDF name=\"a />",
            "<UDF name=\"a\" name=\"b\" />",
            "<UDF x />",
        ] {
            assert_eq!(tags(text, "UDF"), None, "{text}");
        }
    }
}
