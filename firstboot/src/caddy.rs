//! What Caddy serves on this machine: the fence until there is an owner, the site from then on.
//!
//! The Caddyfile of the image imports the two files that are written here. Every name and address is a site of its
//! own, and `echora.internal` serves whoever asks for anything else: a rung of better certificates is one more
//! `tls` line in the sites above it.

use anyhow::Result;

use crate::files;
use crate::instance::Instance;
use crate::system::System;

const FALLBACK: &str = "echora.internal";
/// The user that Caddy runs as, in compose.yaml.
const USER: u32 = 10002;

/// Which of the Caddyfile's snippets the sites import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// "Starting", on every address; the backend is not reachable.
    Fence,
    /// The app.
    Site,
}

/// Writes the instance's part of Caddy's configuration.
pub(crate) fn write(system: &System, gate: Gate, domain: Option<&str>, instance: &Instance) -> Result<()> {
    let folder = system.caddy();
    files::folder_of_all(&folder)?;
    files::folder_of(&system.caddy_data(), USER)?;
    let names = names(domain, instance);
    // Browsers send no name when they are given an address.
    let default = instance.public_ipv4.as_deref().or(instance.public_ipv6.as_deref()).unwrap_or(FALLBACK);
    files::write(
        &folder.join("echora.options"),
        0o644,
        &format!("default_sni {default}\nfallback_sni {FALLBACK}\n"),
    )?;
    files::write(&folder.join("echora.sites"), 0o644, &sites(gate, &names))
}

/// The names and addresses that are sites.
fn names(domain: Option<&str>, instance: &Instance) -> Vec<String> {
    let v4 = instance.public_ipv4.clone();
    let v6 = instance.public_ipv6.as_ref().map(|address| format!("[{address}]"));
    domain.map(str::to_owned).into_iter().chain(v4).chain(v6).collect()
}

fn sites(gate: Gate, names: &[String]) -> String {
    let (snippet, http) = match gate {
        Gate::Fence => ("fence", "\timport fence\n"),
        Gate::Site => ("site", "\tredir https://{host}{uri} 308\n"),
    };
    let mut text = format!("http:// {{\n{http}}}\n");
    for name in names.iter().map(String::as_str).chain([FALLBACK]) {
        text.push_str(&format!("https://{name} {{\n\ttls internal\n\timport {snippet}\n}}\n"));
    }
    text.push_str(&format!("https:// {{\n\timport {snippet}\n}}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fence_never_imports_the_site() {
        let instance = Instance {
            public_ipv4: Some("203.0.113.7".into()),
            public_ipv6: Some("2001:db8::7".into()),
            ..Instance::default()
        };
        let names = names(Some("chat.example.org"), &instance);
        assert_eq!(names, ["chat.example.org", "203.0.113.7", "[2001:db8::7]"]);
        let fence = sites(Gate::Fence, &names);
        assert!(!fence.contains("import site") && !fence.contains("redir"), "{fence}");
        let site = sites(Gate::Site, &names);
        assert!(!site.contains("import fence"), "{site}");
        assert!(site.contains("https://[2001:db8::7] {\n\ttls internal"), "{site}");
    }
}
