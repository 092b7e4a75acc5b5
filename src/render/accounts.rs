//! What a maintainer sets up once at each provider: the generated part of docs/providers.md.

use provider_profiles::{Catalog, Profile};

/// A section for each provider, in Markdown.
#[must_use]
pub fn accounts(catalog: &Catalog) -> String {
    catalog.iter().map(|entry| section(&entry.profile)).collect::<Vec<_>>().join("\n")
}

fn section(profile: &Profile) -> String {
    let (packer, maintainer) = (&profile.packer, &profile.maintainer);
    let settings: Vec<_> = packer
        .account
        .values()
        .map(|setting| format!("`{}`: {}", setting.environment, setting.meaning))
        .collect();
    let machines: Vec<_> = profile
        .default_bases()
        .map(|base| format!("{}: {} on `{}`", base.architecture.name(), base.os, base.plan))
        .collect();
    let sources: Vec<_> =
        maintainer.docs.iter().map(|doc| format!("<{}> ({})", doc.url, doc.checked)).collect();
    let credential = format!(
        "`{}`: {}, made at <{}>",
        packer.token.environment,
        packer.token.holds.in_words(),
        maintainer.credential_page
    );
    let rows = [
        ("credential", credential),
        ("least rights", maintainer.rights.clone()),
        ("other settings", settings.join("<br>")),
        ("builds in", format!("`{}`; {}", packer.region, machines.join("; "))),
        ("runs out", maintainer.limits.clone()),
        ("a build costs", format!("{}: <{}>", maintainer.billed, maintainer.prices)),
        ("read at", sources.join("<br>")),
    ];
    let mut text = format!("### {}\n\n| `{}` | |\n|---|---|\n", profile.name, profile.id);
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        text.push_str(&format!("| {name} | {value} |\n"));
    }
    text
}
