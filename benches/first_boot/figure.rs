//! What was measured, and how it is shown.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// One measured thing.
pub(crate) struct Figure {
    pub(crate) name: String,
    /// The median where there are several.
    pub(crate) value: f64,
    /// Least and most.
    pub(crate) spread: Option<(f64, f64)>,
    pub(crate) unit: &'static str,
    /// What it is held against, in the same unit.
    pub(crate) limit: Option<f64>,
    /// The most that `value / limit` should be.
    pub(crate) goal: Option<f64>,
}

impl Figure {
    /// Median and spread of several values, of which there is at least one.
    pub(crate) fn of(name: &str, values: &[f64], unit: &'static str) -> Self {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let value = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        let spread = (values.len() > 1).then(|| (values[0], values[values.len() - 1]));
        Self { name: name.to_owned(), value, spread, unit, limit: None, goal: None }
    }

    /// Held against `limit`, of which it may be `goal` times.
    pub(crate) fn against(self, limit: f64, goal: Option<f64>) -> Self {
        Self { limit: Some(limit), goal, ..self }
    }

    fn ratio(&self) -> Option<f64> {
        self.limit.map(|limit| self.value / limit)
    }

    fn missed(&self) -> bool {
        self.ratio().zip(self.goal).is_some_and(|(ratio, goal)| ratio > goal)
    }

    fn row(&self) -> String {
        let spread = self.spread.map(|(least, most)| format!("{}-{}", short(least), short(most)));
        let ratio = self.ratio().map(|ratio| format!("{ratio:.2}"));
        let goal =
            self.goal.map(|goal| format!("<= {goal:.2}{}", if self.missed() { ", MISSED" } else { "" }));
        let cell = |text: Option<String>| text.unwrap_or_default();
        let limit = cell(self.limit.map(short));
        format!(
            "| {} | {} {} | {} | {limit} | {} | {} |\n",
            self.name,
            short(self.value),
            self.unit,
            cell(spread),
            cell(ratio),
            cell(goal)
        )
    }
}

/// Three digits that count; bytes to the last one.
fn short(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.3}"),
    }
}

/// A table in Markdown, as docs/performance.md quotes it.
pub(crate) fn table(figures: &[Figure]) -> String {
    let head = "| what | median | least-most | limit | ratio | goal |\n|---|---|---|---|---|---|\n";
    head.to_owned() + &figures.iter().map(Figure::row).collect::<String>()
}

/// Puts them into the list that other programs read; what it says of the same things is replaced.
pub(crate) fn add(figures: &[Figure], path: &Path) -> Result<()> {
    let mut list: Vec<Value> = match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?,
        Err(_) => Vec::new(),
    };
    list.retain(|old| figures.iter().all(|figure| old["name"] != figure.name.as_str()));
    list.extend(figures.iter().map(|figure| {
        json!({"name": figure.name, "value": figure.value, "unit": figure.unit, "limit": figure.limit, "ratio": figure.ratio()})
    }));
    let text = serde_json::to_string_pretty(&list)? + "\n";
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
