//! What a user sees when something fails, and the exit status that scripts see.

use std::fmt;

use echora_rehearsal::need::Missing;
use provider_profiles::UnknownProvider;

use crate::account::{Left, Refused};

/// Exit statuses; `docs/rehearsal.md` lists them for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Something that should have worked did not.
    Failed = 1,
    /// The command line or a file that the user gave is wrong.
    Usage = 2,
    /// A tool, a privilege, memory or disk is missing.
    Missing = 3,
    /// The provider does not let the build begin: token, rights, quota, offer.
    Refused = 4,
    /// The result is not what it has to be.
    Unverified = 5,
    /// Ctrl-C or a request to end, after cleaning up.
    Interrupted = 130,
}

/// An error with its exit status and what to do about it.
#[derive(Debug)]
pub struct Fault {
    what: String,
    hint: String,
    exit: Exit,
}

impl Fault {
    /// What failed, what to do, and the status to end with.
    pub fn new(exit: Exit, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into(), exit }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Fault {}

/// One of several things that keep a command from starting, with its cure.
#[derive(Debug)]
pub struct Problem {
    what: String,
    cure: String,
    exit: Exit,
}

impl Problem {
    /// What is wrong, what to do, and the status to end with.
    pub fn new(exit: Exit, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { what: what.into(), cure: cure.into(), exit }
    }

    /// The same of an error.
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Self {
        let (exit, cure) = judge(error);
        Self::new(exit, format!("{error:#}"), cure.unwrap_or_default())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.what.split_whitespace().collect::<Vec<_>>().join(" ");
        if self.cure.is_empty() { f.write_str(&what) } else { write!(f, "{what}; {}", self.cure) }
    }
}

/// All problems as one error, a line each. The status is that of what is nearest to the
/// user: a tool before a file, a file before what the provider refuses.
#[must_use]
pub fn refuse_all(what: &str, problems: &[Problem]) -> Fault {
    let order = [Exit::Missing, Exit::Usage, Exit::Refused];
    let exit = order.into_iter().find(|exit| problems.iter().any(|problem| problem.exit == *exit));
    let lines: Vec<String> = problems.iter().map(|problem| format!("  {problem}")).collect();
    let hint = "each line says what to do; nothing was made in the account";
    Fault::new(exit.unwrap_or(Exit::Failed), format!("{what}:\n{}", lines.join("\n")), hint)
}

/// The text for a person (`error:`, the causes, `hint:`) and the exit status of a failure.
#[must_use]
pub fn explain(error: &anyhow::Error) -> (String, Exit) {
    let mut text = format!("error: {error}");
    for cause in error.chain().skip(1) {
        for (number, line) in cause.to_string().lines().enumerate() {
            text.push_str(if number == 0 { "\n  caused by: " } else { "\n             " });
            text.push_str(line);
        }
    }
    let (exit, hint) = judge(error);
    if let Some(hint) = hint {
        text.push_str("\nhint: ");
        text.push_str(&hint);
    }
    (text, exit)
}

fn judge(error: &anyhow::Error) -> (Exit, Option<String>) {
    for cause in error.chain() {
        if let Some(fault) = cause.downcast_ref::<Fault>() {
            return (fault.exit, Some(fault.hint.clone()));
        }
        if let Some(missing) = cause.downcast_ref::<Missing>() {
            return (Exit::Missing, Some(missing.hint.clone()));
        }
        if let Some(refused) = cause.downcast_ref::<Refused>()
            && [401, 403].contains(&refused.status)
        {
            let hint = "the provider does not take the API token for that; make one with the rights to write";
            return (Exit::Refused, Some(hint.to_owned()));
        }
        if let Some(left) = cause.downcast_ref::<Left>() {
            return (judge(&left.why).0, Some(left.hint()));
        }
        if let Some(unknown) = cause.downcast_ref::<UnknownProvider>() {
            return (Exit::Usage, Some(unknown.hint()));
        }
    }
    (Exit::Failed, None)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_fault_keeps_its_status_and_hint_under_context() {
        let fault: anyhow::Result<()> = Err(Fault::new(Exit::Usage, "no such thing", "try another").into());
        let (text, exit) = explain(&fault.context("cannot begin").expect_err("it is an error"));
        assert_eq!(text, "error: cannot begin\n  caused by: no such thing\nhint: try another");
        assert_eq!(exit, Exit::Usage);
    }

    #[test]
    fn a_missing_tool_ends_with_three() {
        let error = anyhow::Error::from(Missing::new("x is not installed", "apt-get install x"));
        assert_eq!(
            explain(&error),
            ("error: x is not installed\nhint: apt-get install x".into(), Exit::Missing)
        );
    }

    #[test]
    fn anything_else_ends_with_one() {
        assert_eq!(explain(&anyhow::anyhow!("broken")), ("error: broken".into(), Exit::Failed));
    }
}
