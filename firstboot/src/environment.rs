//! `/opt/echora/.env`: lines of `NAME=value`, what others wrote included.

use std::fmt;

/// The stack's environment.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    lines: Vec<String>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment {{ {} lines, values: *** }}", self.lines.len())
    }
}

impl Environment {
    pub(crate) fn parse(text: &str) -> Self {
        Self { lines: text.lines().map(str::to_owned).collect() }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.lines.iter().rev().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }

    /// Sets a value in its line, or in a new one. Values are hexadecimal, addresses or names: they need no quotes.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let is_of = |line: &String| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('='));
        self.lines.retain(|line| !is_of(line));
        self.lines.push(format!("{name}={value}"));
    }

    pub(crate) fn render(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_peoples_lines_stay() {
        let mut environment = Environment::parse("# mine\nA=1\nAB=2\n");
        environment.set("A", "3");
        environment.set("C", "4");
        assert_eq!(environment.render(), "# mine\nAB=2\nA=3\nC=4\n");
        assert_eq!(environment.get("AB"), Some("2"));
        assert_eq!(environment.get("B"), None);
        assert!(!format!("{environment:?}").contains('3'));
    }
}
