//! Runs of base64 and hexadecimal, and what they hold: a secret may begin anywhere in it.

/// Shorter runs hold nothing that would be a secret.
const SHORTEST: usize = 8;

/// Whether a character may be inside a run.
pub(super) fn is_of_run(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_' | '=')
}

/// The run that the text begins with: its length, and what it may hold. A run may begin with what is no part of the
/// code (`/path/`), so that every alignment is read.
pub(super) fn decode(text: &str) -> Option<(usize, Vec<Vec<u8>>)> {
    let (length, run) = run(text);
    if run.len() < SHORTEST {
        return None;
    }
    let values: Vec<u8> = run.iter().filter_map(|&byte| sextet(byte)).collect();
    let mut contents: Vec<Vec<u8>> =
        (0..4).map(|skip| join(values.get(skip..).unwrap_or_default(), 6)).collect();
    // Of hexadecimal there may be several runs in one of base64: `path/0a1b_2c3d`.
    for part in run.split(|byte| !byte.is_ascii_hexdigit()).filter(|part| part.len() >= SHORTEST) {
        let digits: Vec<u8> =
            part.iter().filter_map(|&byte| char::from(byte).to_digit(16)?.try_into().ok()).collect();
        contents.extend((0..2).map(|skip| join(&digits[skip..], 4)));
    }
    Some((length, contents))
}

/// The run's length in the text, and its letters; `+`, `/` and `=` may be percent-encoded, `/` escaped.
fn run(text: &str) -> (usize, Vec<u8>) {
    let (mut length, mut letters) = (0, Vec::new());
    loop {
        let rest = &text[length..];
        let letter = match rest.get(..3).map(str::to_ascii_uppercase).as_deref() {
            Some("%2B") => Some((3, b'+')),
            Some("%2F") => Some((3, b'/')),
            Some("%3D") => Some((3, b'=')),
            _ if rest.starts_with("\\/") => Some((2, b'/')),
            _ => rest.bytes().next().filter(|&byte| is_of_run(char::from(byte))).map(|byte| (1, byte)),
        };
        let Some((taken, letter)) = letter else {
            return (length, letters);
        };
        length += taken;
        letters.push(letter);
    }
}

/// The value of a letter in either alphabet of base64.
fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// Puts digits of so many bits together to bytes.
fn join(digits: &[u8], bits: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut buffer, mut filled) = (0_u32, 0);
    for &digit in digits {
        buffer = buffer << bits | u32::from(digit);
        filled += bits;
        if filled >= 8 {
            filled -= 8;
            bytes.push(u8::try_from(buffer >> filled & 0xff).unwrap_or_default());
            buffer &= (1 << filled) - 1;
        }
    }
    bytes
}
