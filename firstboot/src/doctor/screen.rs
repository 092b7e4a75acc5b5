//! The facts on one screen: 80 columns, 40 lines.

use super::facts::Facts;
use super::findings::{Finding, Severity};
use super::words;

const COLUMNS: usize = 80;
const LINES: usize = 40;
/// Mark and label of a line.
const INDENT: usize = 20;

/// A screen that grows from above.
struct Screen<'a> {
    lines: Vec<String>,
    findings: &'a [Finding],
    colours: bool,
}

/// Draws it.
pub(crate) fn render(facts: &Facts, findings: &[Finding], colours: bool) -> String {
    let mut screen = Screen { lines: Vec::new(), findings, colours };
    let up = facts.up_seconds.map_or(String::new(), |up| format!(", up {}", words::span(up)));
    screen.lines.push(fit(&format!("echora-doctor {} on {}{up}", facts.version, facts.system), COLUMNS));
    screen.lines.push(String::new());
    for (label, about, fact) in words::of(facts) {
        screen.say(label, about, fact);
    }
    screen.what_to_do();
    screen.lines.join("\n") + "\n"
}

impl Screen<'_> {
    /// A fact with a mark that tells whether there is something to do about it, and its text in as many lines as it
    /// takes, but for three; or why it is not known.
    fn say(&mut self, label: &str, about: &[&str], fact: Result<String, String>) {
        let worst =
            self.findings.iter().filter(|finding| about.contains(&finding.about)).map(|f| f.severity).min();
        let (mark, colour) = match worst {
            Some(Severity::Problem) => ("!!", "31"),
            Some(Severity::Advice) => (" -", "33"),
            None if fact.is_err() => ("??", "33"),
            None => ("ok", "32"),
        };
        let text = fact.unwrap_or_else(|why| why);
        let mut texts = wrap(&text, COLUMNS - INDENT).into_iter();
        let mark = self.paint(mark, colour);
        self.lines.push(
            format!(" {mark}  {label:<INDENT$}", INDENT = INDENT - 5) + &texts.next().unwrap_or_default(),
        );
        self.lines.extend(texts.take(2).map(|text| format!("{:INDENT$}{text}", "")));
    }

    fn what_to_do(&mut self) {
        self.lines.push(String::new());
        if self.findings.is_empty() {
            self.lines.push(self.paint("All is well: there is nothing to do.", "32"));
            return;
        }
        self.lines.push("What to do next".to_owned());
        for (index, finding) in self.findings.iter().enumerate() {
            let what = wrap(&finding.what, COLUMNS - 5);
            let cure = wrap(&finding.cure, COLUMNS - 8);
            // The last line is for how many more there are.
            if self.lines.len() + what.len().min(2) + cure.len().min(2) >= LINES {
                let more = self.findings.len() - index;
                self.lines.push(format!("     and {more} more: echora-doctor --json"));
                return;
            }
            let colour = if finding.needs_attention() { "31" } else { "33" };
            let number = self.paint(&format!("{:>3}.", index + 1), colour);
            for (index, line) in what.into_iter().take(2).enumerate() {
                self.lines.push(if index == 0 { format!("{number} {line}") } else { format!("     {line}") });
            }
            for (index, line) in cure.into_iter().take(2).enumerate() {
                self.lines.push(format!("     {} {line}", if index == 0 { "->" } else { "  " }));
            }
        }
    }

    fn paint(&self, text: &str, colour: &str) -> String {
        if self.colours { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Breaks a text at its spaces; a word that is too long is cut. What is not for a screen is left out.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = fit(word, width);
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

fn fit(text: &str, width: usize) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).collect();
    if plain.chars().count() <= width {
        plain
    } else {
        plain.chars().take(width - 3).collect::<String>() + "..."
    }
}
