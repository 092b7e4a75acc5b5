//! The ways in which programs write one character: as it is, escaped for JSON, shells, SQL or HTML, or for an address.

/// Nobody escapes one character with more backslashes; a stranger's log line may have a million of them in a row.
const MOST: usize = 64;

/// The length of `secret` at the beginning of `text`, each of its characters in whatever notation.
pub(super) fn spelled(text: &[u8], secret: &[char]) -> Option<usize> {
    let Some((&first, rest)) = secret.split_first() else {
        return Some(0);
    };
    lengths(text, first).into_iter().find_map(|length| Some(length + spelled(&text[length..], rest)?))
}

/// How many bytes of the text's beginning may stand for the character; the longest first.
fn lengths(text: &[u8], c: char) -> Vec<usize> {
    let mut buffer = [0; 4];
    let plain = c.encode_utf8(&mut buffer).as_bytes();
    let Some(&begin) = text.first() else {
        return Vec::new();
    };
    if begin != plain[0] && !matches!(begin, b'%' | b'\\' | b'&' | b'+') {
        return Vec::new(); // Nearly always.
    }
    let backslashes = text.iter().take(MOST).take_while(|&&byte| byte == b'\\').count();
    let mut found: Vec<usize> = [percent(text, plain), entity(text, c)].into_iter().flatten().collect();
    if c == '\\' {
        // Each level of escaping doubles it.
        found
            .extend((0..=MOST.ilog2()).rev().map(|level| 1 << level).filter(|length| *length <= backslashes));
    } else if backslashes > 0 {
        let escaped = &text[backslashes..];
        let length = if c.is_ascii_punctuation() && escaped.starts_with(plain) {
            Some(plain.len())
        } else {
            number(escaped, c)
        };
        found.extend(length.map(|length| backslashes + length));
    }
    if c == '\'' {
        // In a shell's quotes, and in SQL's.
        found.extend(
            ["'\\''", "'\"'\"'", "''"]
                .iter()
                .filter(|form| text.starts_with(form.as_bytes()))
                .map(|form| form.len()),
        );
    }
    if text.starts_with(plain) {
        found.push(plain.len());
    }
    if c == ' ' && begin == b'+' {
        found.push(1);
    }
    found
}

/// `%41`, or `%2541` when an address is a part of an address.
fn percent(text: &[u8], plain: &[u8]) -> Option<usize> {
    let mut at = 0;
    for byte in plain {
        if text.get(at) != Some(&b'%') {
            return None;
        }
        at += 1;
        while text.get(at..).is_some_and(|rest| rest.starts_with(b"25")) && *byte != b'%' {
            at += 2;
        }
        at += hexadecimal(text.get(at..at + 2)?, u32::from(*byte))?;
    }
    Some(at)
}

/// What follows the backslash of `\u0041`, `\u{41}` and `\x41`.
fn number(text: &[u8], c: char) -> Option<usize> {
    let code = u32::from(c);
    let mut units = [0; 2];
    match text {
        [b'u', b'{', rest @ ..] => {
            let end = rest.iter().position(|&byte| byte == b'}')?;
            hexadecimal(&rest[..end], code).map(|length| length + 3)
        }
        [b'u', rest @ ..] => match c.encode_utf16(&mut units) {
            [unit] => hexadecimal(rest.get(..4)?, u32::from(*unit)).map(|length| length + 1),
            // A pair of surrogates: `\ud83d\ude00`.
            [high, low] => {
                hexadecimal(rest.get(..4)?, u32::from(*high))?;
                hexadecimal(rest.get(4..)?.strip_prefix(b"\\u")?.get(..4)?, u32::from(*low))?;
                Some(11)
            }
            _ => None,
        },
        [b'x', rest @ ..] => hexadecimal(rest.get(..2)?, code).map(|length| length + 1),
        _ => None,
    }
}

/// `&amp;`, `&#39;` or `&#x27;`.
fn entity(text: &[u8], c: char) -> Option<usize> {
    let body = text.strip_prefix(b"&")?;
    let end = body.iter().take(10).position(|&byte| byte == b';')?;
    let stands_for = match &body[..end] {
        b"amp" => c == '&',
        b"lt" => c == '<',
        b"gt" => c == '>',
        b"quot" => c == '"',
        b"apos" => c == '\'',
        [b'#', b'x' | b'X', digits @ ..] => hexadecimal(digits, u32::from(c)).is_some(),
        [b'#', digits @ ..] => std::str::from_utf8(digits).is_ok_and(|text| text.parse() == Ok(u32::from(c))),
        _ => false,
    };
    stands_for.then_some(end + 2)
}

/// The number of digits when they are the number.
fn hexadecimal(digits: &[u8], number: u32) -> Option<usize> {
    let text = std::str::from_utf8(digits).ok()?;
    (u32::from_str_radix(text, 16) == Ok(number)).then_some(digits.len())
}
