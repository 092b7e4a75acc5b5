//! What a token is good for, as `RESOURCE:read_only` or `RESOURCE:read_write`.

const ALL: &str = "*";

/// Whether a text is a scope.
pub(super) fn is_one(scope: &str) -> bool {
    matches!(scope.split_once(':'), Some((resource, "read_only" | "read_write")) if !resource.is_empty())
}

/// Whether a token with `scopes` may call what needs `needed`; a token without any may everything.
pub(super) fn grants(scopes: &[String], needed: Option<&str>) -> bool {
    let Some(needed) = needed.filter(|_| !scopes.is_empty()) else { return true };
    let writing = needed.replace(":read_only", ":read_write");
    scopes.iter().any(|scope| scope == ALL || scope == needed || *scope == writing)
}

/// The scopes as a header tells them.
pub(super) fn told(scopes: &[String]) -> String {
    if scopes.is_empty() { ALL.to_owned() } else { scopes.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_write_may_read_and_nobody_else_may_write() {
        let granted = |scopes: &[&str], needed| {
            let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
            grants(&scopes, Some(needed))
        };
        assert!(granted(&["images:read_write"], "images:read_only"));
        assert!(granted(&["events:read_only", "images:read_write"], "images:read_write"));
        assert!(granted(&[], "images:read_write"));
        assert!(granted(&["*"], "images:read_write"));
        assert!(!granted(&["images:read_only"], "images:read_write"));
        assert!(!granted(&["machines:read_write"], "images:read_only"));
    }
}
