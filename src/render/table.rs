//! The README's table of providers.

use anyhow::{Context, Result};
use provider_profiles::{Catalog, Datasource, KeyDelivery, Profile};

/// Line before what is generated.
pub const MARKER_START: &str = "<!-- providers -->";
/// Line after what is generated.
pub const MARKER_END: &str = "<!-- /providers -->";

/// The table in Markdown.
#[must_use]
pub fn readme_table(catalog: &Catalog) -> String {
    let mut table = String::from(
        "| provider | id | Packer plugin | built on | buyer's machine reads | login shown on |\n|---|---|---|---|---|---|\n",
    );
    for entry in catalog.iter() {
        table.push_str(&row(&entry.profile));
    }
    table
}

fn row(profile: &Profile) -> String {
    let plugin = &profile.packer.plugin;
    let mut bases: Vec<_> = profile
        .bases
        .iter()
        .map(|base| format!("{} {}: `{}`", base.os, base.architecture.name(), base.plan))
        .collect();
    bases.dedup();
    let datasource = match &profile.boot.datasource {
        Datasource::Http => "metadata service",
        Datasource::ConfigDrive { .. } => "config drive, metadata service",
    };
    let token = if profile.metadata.token.is_some() { " with a token" } else { "" };
    let keys = if profile.boot.ssh_keys == KeyDelivery::Disk { ", keys on its disk" } else { "" };
    format!(
        "| {} | `{}` | `{}` {} | {} | {datasource}{token}{keys} | {} |\n",
        profile.name,
        profile.id,
        plugin.source,
        plugin.version,
        bases.join("<br>"),
        profile.consoles.devices.join(", "),
    )
}

/// `text`, the content of `file`, with what stands between the markers replaced.
pub fn replace_generated(file: &str, text: &str, generated: &str) -> Result<String> {
    let missing = |marker: &str| format!("{file} has no line {marker}");
    let (head, rest) = text.split_once(MARKER_START).with_context(|| missing(MARKER_START))?;
    let (_, tail) = rest.split_once(MARKER_END).with_context(|| missing(MARKER_END))?;
    Ok(format!("{head}{MARKER_START}\n{generated}{MARKER_END}{tail}"))
}

/// Rows in columns as wide as their widest cell, a line each.
#[must_use]
pub fn columns<const WIDTH: usize>(rows: &[[String; WIDTH]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..WIDTH).map(width).collect();
    let line = |row: &[String; WIDTH]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
