//! HCL as text, the way `packer fmt` wants it.

use anyhow::{Context, Result};
use hcl::{Body, Expression};

/// Stand for `$` and `%` before a brace until the text is printed: the printer leaves some of them open, as in `$%{`,
/// and what is open is a template. Both lie in Unicode's private use area, which no fact has.
const GUARDS: [(char, char, &str); 2] = [('$', '\u{e000}', "\\u0024"), ('%', '\u{e001}', "\\u0025")];

/// A text as a literal: nothing in it is ever read as a template.
pub(super) fn literal(text: &str) -> Expression {
    let guard = |text: String, (sign, guard, _): &(char, char, &str)| {
        text.replace(&format!("{sign}{{"), &format!("{guard}{{"))
    };
    GUARDS.iter().fold(text.to_owned(), guard).into()
}

/// Prints a body; equal signs of neighbouring one-line attributes stand below each other.
pub fn format(body: &Body) -> Result<String> {
    let text = hcl::format::to_string(body).context("the template cannot be written as HCL")?;
    let text = GUARDS.iter().fold(text, |text, (_, guard, escape)| text.replace(*guard, escape));
    let lines: Vec<&str> = text.lines().collect();
    let mut out = Vec::with_capacity(lines.len());
    let mut index = 0;
    while index < lines.len() {
        let run = lines[index..].iter().take_while(|line| attribute(line).is_some()).count();
        let same_depth =
            lines[index..index + run].iter().take_while(|line| depth(line) == depth(lines[index])).count();
        out.extend(aligned(&lines[index..index + same_depth]));
        index += same_depth;
        if same_depth == 0 {
            out.push(lines[index].to_owned());
            index += 1;
        }
    }
    Ok(out.join("\n") + "\n")
}

fn aligned(lines: &[&str]) -> Vec<String> {
    let pairs: Vec<_> = lines.iter().filter_map(|line| attribute(line)).collect();
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    pairs.into_iter().map(|(name, value)| format!("{name:width$} = {value}")).collect()
}

/// Name (with its indentation) and value of an attribute that begins and ends on this line.
fn attribute(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(" = ")?;
    let is_name = name.trim().chars().all(|c| c.is_ascii_alphanumeric() || "_-\"".contains(c));
    (is_name && !value.ends_with(['{', '[', '('])).then_some((name, value))
}

fn depth(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_aligned() {
        let body = Body::builder().add_attribute(("a", 1)).add_attribute(("long_name", "x")).build();
        assert_eq!(format(&body).unwrap(), "a         = 1\nlong_name = \"x\"\n");
    }
}
