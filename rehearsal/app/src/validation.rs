//! What the app takes for a name, an e-mail address and a password.

/// The trimmed name.
pub(crate) fn username(raw: &str) -> Result<String, &'static str> {
    let name = raw.trim();
    if !(2..=32).contains(&name.len()) {
        return Err("Username must be between 2 and 32 characters");
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Err("Username can only contain ASCII letters, numbers, underscores, and hyphens");
    }
    Ok(name.to_owned())
}

/// The trimmed address in lower case.
pub(crate) fn email(raw: &str) -> Result<String, &'static str> {
    let address = raw.trim().to_lowercase();
    let fits = address.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !address.contains(char::is_whitespace)
            && !domain.contains('@')
            && domain.len() >= 3
            && domain.contains('.')
            && !domain.starts_with('.')
            && !domain.ends_with('.')
            && !domain.contains("..")
    });
    if fits && address.len() <= 254 { Ok(address) } else { Err("Invalid email address") }
}

/// Whether the length in bytes is right.
pub(crate) fn password(raw: &str) -> Result<(), &'static str> {
    match raw.len() {
        0..8 => Err("Password must be at least 8 characters"),
        8..=128 => Ok(()),
        _ => Err("Password must be at most 128 characters"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_plain() {
        assert_eq!(username("  Admin "), Ok("Admin".into()));
        for bad in ["a", "ad min", "ädmin", &"x".repeat(33)] {
            assert!(username(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_need_a_dot_in_the_domain() {
        assert_eq!(email(" A@Example.ORG "), Ok("a@example.org".into()));
        for bad in
            ["admin@localhost", "@example.org", "a b@example.org", "a@.org", "a@example.", "a@e..org", "a"]
        {
            assert!(email(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn passwords_are_counted_in_bytes() {
        assert!(password("1234567").is_err() && password("12345678").is_ok());
        assert!(password(&"x".repeat(128)).is_ok() && password(&"x".repeat(129)).is_err());
    }
}
