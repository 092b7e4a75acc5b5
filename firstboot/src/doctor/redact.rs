//! Nothing that the doctor says holds a secret: every text goes through here.
//!
//! Secrets that lie on this machine are known and found in whatever way a program wrote them; what only looks like a
//! secret (a token in a header, a password in an address) is found by its place.

use serde_json::Value;

pub(crate) use crate::inputs::MASK;
use crate::system::System;

mod encoding;
mod known;
mod name;
mod notation;
mod place;

pub(crate) use name::is_secret_name;

/// Knows the secrets of a machine.
pub(crate) struct Redactor {
    secrets: Vec<Vec<char>>,
}

impl Redactor {
    pub(crate) fn of(system: &System) -> Self {
        Self::knowing(known::secrets(system))
    }

    fn knowing(mut secrets: Vec<String>) -> Self {
        // One may be a part of another: the longest is looked for first.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self { secrets: secrets.iter().map(|secret| secret.chars().collect()).collect() }
    }

    /// The text without secrets.
    pub(crate) fn text(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(next) = text[at..].chars().next() {
            match self.spelled(&text[at..]).or_else(|| self.encoded(text, at)) {
                Some(length) => {
                    out.push_str(MASK);
                    at += length;
                }
                None => {
                    out.push(next);
                    at += next.len_utf8();
                }
            }
        }
        place::mask(&out)
    }

    /// The tree without secrets; names stay.
    pub(crate) fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(map) => {
                let masked = |(name, value): (String, Value)| match value {
                    Value::String(_) if is_secret_name(&name) => (name, MASK.into()),
                    value => (name, self.value(value)),
                };
                Value::Object(map.into_iter().map(masked).collect())
            }
            scalar => scalar,
        }
    }

    /// The length of the secret that `text` begins with, in any notation.
    fn spelled(&self, text: &str) -> Option<usize> {
        self.secrets.iter().find_map(|secret| notation::spelled(text.as_bytes(), secret))
    }

    /// The length of the run of base64 or hexadecimal that begins at `at` and holds a secret.
    fn encoded(&self, text: &str, at: usize) -> Option<usize> {
        if text[..at].ends_with(encoding::is_of_run) {
            return None; // Its beginning was looked at, and what it holds with it.
        }
        let (length, contents) = encoding::decode(&text[at..])?;
        let holds = |content: &Vec<u8>| (0..content.len()).any(|at| self.begins(&content[at..]));
        contents.iter().any(holds).then_some(length)
    }

    fn begins(&self, bytes: &[u8]) -> bool {
        self.secrets.iter().any(|secret| notation::spelled(bytes, secret).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = r#"pä&"s'w/o\r d+=?"#;

    fn redactor() -> Redactor {
        Redactor::knowing(vec![SECRET.into(), "abcd-efgh-jkmn".into()])
    }

    #[test]
    fn a_known_secret_is_found_however_it_is_written() {
        let json = serde_json::to_string(SECRET).unwrap();
        let forms = [
            SECRET.to_owned(),
            json.clone(),
            serde_json::to_string(&json).unwrap(),
            format!("{SECRET:?}"),
            "p%C3%A4%26%22s%27w%2Fo%5Cr%20d%2B%3D%3F".to_owned(),
            "p%c3%a4%26%22s'w/o%5cr+d%2b=%3f".to_owned(),
            "p\\u00e4\\u0026\\\"s'w\\/o\\\\r d+=?".to_owned(),
            "pä&amp;&quot;s&#39;w/o\\r d+=?".to_owned(),
            "'pä&\"s'\\''w/o\\r d+=?'".to_owned(),
            // Of "pre:" and "post" around it, so that no group of four letters begins with it.
            "cHJlOnDDpCYicyd3L29cciBkKz0/cG9zdA==".to_owned(),
            "cHJlOnDDpCYicyd3L29cciBkKz0_cG9zdA".to_owned(),
            "cHJlOnDDpCYicyd3L29cciBkKz0%2FcG9zdA%3D%3D".to_owned(),
            "/path/70c3a42622732777_70C3A426227327772F6F5C7220642B3D3F".to_owned(),
        ];
        for form in forms {
            let said = redactor().text(&format!("before {form} after"));
            assert!(said.starts_with("before ") && said.ends_with(" after"), "{form}: {said}");
            assert!(said.contains(MASK), "{form}: {said}");
            for part in ["d+", "d%2B", "ZD", "64"] {
                assert!(!said.contains(part), "{form}: {said}");
            }
        }
    }

    /// As a stranger's header can put it into a log: what it costs grows with its length and not with its square.
    #[test]
    fn a_long_run_of_one_character_is_read_through() {
        for run in ["\\", "%25", "&", "+"] {
            let text = run.repeat(300_000);
            assert_eq!(redactor().text(&text), text);
        }
        let escaped = format!("{}{}", "\\".repeat(63), '"');
        assert!(
            Redactor::knowing(vec!["\"abcdefgh".into()]).text(&format!("{escaped}abcdefgh")).contains(MASK)
        );
    }

    #[test]
    fn what_holds_no_secret_stays_as_it_is() {
        let text = "2026-11-25 echora-backend-1 | listening on 127.0.0.1:3000 (sha256:9f86d081884c7d65, %20, a\\b)\n\
                    [4/9] secrets: making secrets\n{\"level\":\"info\",\"uri\":\"/assets/app-Bk3_9.js\"}\n";
        assert_eq!(redactor().text(text), text);
    }

    #[test]
    fn the_parts_of_a_tree_are_redacted_and_its_form_stays() {
        let tree =
            serde_json::json!({"password": "x", "list": ["abcd-efgh-jkmn"], "seconds": {"secrets": 0.5}});
        let expected = serde_json::json!({"password": MASK, "list": [MASK], "seconds": {"secrets": 0.5}});
        assert_eq!(redactor().value(tree), expected);
    }
}
