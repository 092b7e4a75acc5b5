//! Secrets that are known by where they stand: behind a name, in a header, in an address, between the lines of a key.

use super::MASK;
use super::name::{is_header, is_secret_name};

/// What begins so is a token or the hash of a password.
const BEGINNINGS: [&str; 8] = ["eyJ", "$argon2", "$2a$", "$2b$", "$2y$", "$6$", "$y$", "SCRAM-SHA-256$"];
const KEY_BEGIN: &str = "-----BEGIN ";
const KEY_END: &str = "PRIVATE KEY-----";

/// Masks all of them.
pub(super) fn mask(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut inside_word = false;
    while let Some(next) = rest.chars().next() {
        let found = if inside_word { None } else { secret(rest) };
        let found = found
            .or_else(|| rest.strip_prefix("://").and_then(userinfo).map(|(kept, gone)| (kept + 3, gone)));
        let (kept, gone) = found.unwrap_or((next.len_utf8(), 0));
        let (head, tail) = rest.split_at(kept);
        out.push_str(head);
        if gone > 0 && &tail[..gone] != MASK {
            out.push_str(MASK);
            rest = &tail[gone..];
        } else {
            rest = tail;
        }
        inside_word = gone == 0 && is_of_word(next) && next != '.' && next != '/';
    }
    out
}

/// Where a secret lies that begins with this word: what stays before it, and its own length.
fn secret(text: &str) -> Option<(usize, usize)> {
    if text.starts_with(KEY_BEGIN) && text.lines().next()?.contains(KEY_END) {
        let begin = text.find(KEY_END)? + KEY_END.len();
        let end = text[begin..].find(KEY_END).map_or(text.len(), |end| begin + end + KEY_END.len());
        return Some((0, end));
    }
    if BEGINNINGS.iter().any(|beginning| text.starts_with(beginning)) {
        let end = text.find(|c: char| !is_of_word(c) && !"$+/=,".contains(c)).unwrap_or(text.len());
        return (end > 16).then_some((0, end));
    }
    let word = text.find(|c: char| !is_of_word(c)).unwrap_or(text.len());
    let name = &text[..word];
    if matches!(name, "Bearer" | "bearer" | "Basic") {
        let token = text[word..].strip_prefix(' ')?;
        let end = token.find(|c: char| c.is_whitespace() || "\"'\\,".contains(c)).unwrap_or(token.len());
        return (end >= 8).then_some((word + 1, end));
    }
    if !is_secret_name(name) {
        return None;
    }
    let (kept, gone) = value(&text[word..], is_header(name))?;
    Some((word + kept, gone))
}

/// The value behind a name: how far it is, and how long. Quotes may be escaped any number of times.
fn value(text: &str, is_header: bool) -> Option<(usize, usize)> {
    let is_quote = |c: char| matches!(c, '"' | '\'' | '\\');
    let behind = text.trim_start_matches(is_quote).trim_start_matches([' ', '\t']);
    let behind = ["=>", "=", ":", "%3D", "%3d"].iter().find_map(|sign| behind.strip_prefix(sign))?;
    let open = behind.trim_start_matches([' ', '\t', '[']);
    let start = open.trim_start_matches(is_quote);
    let quote = open[..open.len() - start.len()].chars().next_back();
    let end = match quote {
        // To the same quote, which stands behind as many backslashes as the first one.
        Some(quote) => start.find([quote, '\n']).map(|end| start[..end].trim_end_matches('\\').len()),
        None if is_header => start.find('\n'),
        None => start.find(|c: char| c.is_whitespace() || "&,;\"'<>)}]\\".contains(c)),
    };
    let gone = end.unwrap_or(start.len());
    (gone > 0).then(|| (text.len() - start.len(), gone))
}

/// What stands before the `@` of an address: all of it, or what follows the user's name.
fn userinfo(text: &str) -> Option<(usize, usize)> {
    let authority = text.split(|c: char| c.is_whitespace() || "/?#\"'<>".contains(c)).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    let kept = user.find(':').map_or(0, |colon| colon + 1);
    (kept < user.len()).then(|| (kept, user.len() - kept))
}

/// The passwords of the addresses in a text.
pub(super) fn passwords(text: &str) -> impl Iterator<Item = &str> {
    text.split("://").skip(1).filter_map(|rest| {
        let (kept, gone) = userinfo(rest)?;
        (kept > 0).then(|| &rest[kept..kept + gone])
    })
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_by_its_place() {
        let long = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";
        let cases = [
            ("password=hunter2&x=1", "password=***&x=1"),
            ("POSTGRES_PASSWORD: hunter2 # mine", "POSTGRES_PASSWORD: *** # mine"),
            ("Password: hunter2\nnext", "Password: ***\nnext"),
            (r#"{"adminPassword": "a b","x":1}"#, r#"{"adminPassword": "***","x":1}"#),
            (r#""{\"token\":\"a,b\",\"x\":1}""#, r#""{\"token\":\"***\",\"x\":1}""#),
            ("GET /ws?token=abc.def HTTP/1.1", "GET /ws?token=*** HTTP/1.1"),
            ("Authorization: Basic YTpi x\nnext", "Authorization: ***\nnext"),
            (r#""Cookie":["a=b; c=d"]"#, r#""Cookie":["***"]"#),
            ("postgresql://echora:hunter2@localhost/x", "postgresql://echora:***@localhost/x"),
            ("https://ghp_abc@example.org/x", "https://***@example.org/x"),
            ("sent Bearer abcdefgh, refused", "sent Bearer ***, refused"),
            (long, MASK),
            ("hash $argon2id$v=19$m=19456,t=2$c2FsdA$aGFzaA end", "hash *** end"),
            ("admin $2a$14$abcdefghijklmnopqrstuv end", "admin *** end"),
            ("a -----BEGIN OPENSSH PRIVATE KEY-----\nxyz\n-----END OPENSSH PRIVATE KEY----- b", "a *** b"),
            ("-----BEGIN PRIVATE KEY-----\\nxyz", MASK),
        ];
        for (text, expected) in cases {
            assert_eq!(mask(text), expected);
            assert_eq!(mask(expected), expected, "twice is as good as once");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "[4/9] secrets: making secrets",
            "password authentication failed for user \"echora\"",
            "http://127.0.0.1:3000/api/health?at=user@example.org",
            "a bearer token is missing",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            "secrets 0.1 s, tokens: 3",
        ] {
            assert_eq!(mask(text), text);
        }
    }
}
