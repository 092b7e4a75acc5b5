//! The account book: what was made, what of it is left, what it costs, and what was asked.

use serde::Serialize;

/// Something that the account held or holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// Its kind in the description.
    pub kind: String,
    /// The provider's id.
    pub id: String,
    /// The name that a person knows it by.
    pub name: String,
    /// Cost per hour in the provider's currency.
    pub hourly: f64,
    /// When it was made, on the provider's clock.
    pub made: String,
    /// When it went.
    pub gone: Option<String>,
}

/// A request and the status of its reply. Never a body or a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// HTTP method.
    pub method: String,
    /// Path with parameters.
    pub path: String,
    /// Status; 0 when the connection was cut.
    pub status: u16,
}

/// The account book at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ledger {
    /// Everything that was ever made, oldest first.
    pub lines: Vec<Line>,
    /// Everything that was asked.
    pub asked: Vec<Asked>,
    /// Calls that the description does not know.
    pub unknown_calls: Vec<String>,
    /// Fields and parameters that it does not know, with their call.
    pub unknown_fields: Vec<String>,
    /// Mistakes of the description that a call ran into, and deeds of the hypervisor that failed.
    pub defects: Vec<String>,
}

impl Ledger {
    /// What is still there.
    pub fn left(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.gone.is_none())
    }

    /// The kinds of what is still there, sorted.
    #[must_use]
    pub fn kinds_left(&self) -> Vec<&str> {
        let mut kinds: Vec<_> = self.left().map(|line| line.kind.as_str()).collect();
        kinds.sort_unstable();
        kinds
    }

    /// What all that costs an hour.
    #[must_use]
    pub fn hourly(&self) -> f64 {
        // A sum of nothing would be a zero with a minus.
        self.left().fold(0.0, |sum, line| sum + line.hourly)
    }

    /// What shows that client and description disagree: empty when they do not.
    #[must_use]
    pub fn strays(&self) -> Vec<&str> {
        let all = [&self.unknown_calls, &self.unknown_fields, &self.defects];
        all.into_iter().flatten().map(String::as_str).collect()
    }
}
