//! What the machine at hand lacks, told before anything starts.

use std::fmt;

/// A missing prerequisite; the command line turns it into exit status 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What is not there, as a sentence without a full stop.
    pub what: String,
    /// The command or step that cures it.
    pub hint: String,
}

impl Missing {
    /// A prerequisite with its cure.
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Missing {}
