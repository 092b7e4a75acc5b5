//! What Caddy serves on this machine: the fence until there is an owner, the site from then on.
//!
//! The Caddyfile of the image imports the two files that are written here. Every name and address is a site of its
//! own with one issuer, and `echora.internal` serves whoever asks for anything that has no certificate yet: so a rung
//! of the ladder that fails never takes the one below it away. Two issuers on one site would: Caddy asks the first one
//! again only when the certificate of the second is due.

use std::net::IpAddr;

use anyhow::Result;

use crate::files;
use crate::instance::is_public;
use crate::site::{Site, host};
use crate::system::System;

const FALLBACK: &str = "echora.internal";
/// The user that Caddy runs as, in compose.yaml.
const USER: u32 = 10002;
/// The two files, by their names in the instance's folder.
pub(crate) const FILES: [&str; 2] = ["echora.options", "echora.sites"];

/// Which of the Caddyfile's snippets the sites import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// "Starting", on every address; the backend is not reachable.
    Fence,
    /// The app.
    Site,
}

/// Who signs a site's certificate.
#[derive(Debug, Clone, Copy)]
enum Issuer {
    /// A public certificate authority, for a domain.
    Public,
    /// The same for an address, whose certificates last six days:
    /// <https://letsencrypt.org/docs/profiles/#shortlived>.
    ShortLived,
    /// This machine's own.
    Internal,
}

impl Issuer {
    fn directive(self) -> &'static str {
        match self {
            Self::Public => "\ttls {\n\t\tissuer acme\n\t}\n",
            Self::ShortLived => "\ttls {\n\t\tissuer acme {\n\t\t\tprofile shortlived\n\t\t}\n\t}\n",
            Self::Internal => "\ttls internal\n",
        }
    }
}

/// Writes the instance's part of Caddy's configuration.
pub(crate) fn write(system: &System, gate: Gate, site: &Site) -> Result<()> {
    files::folder_of_all(&system.caddy())?;
    files::folder_of(&system.caddy_data(), USER)?;
    for (name, content) in FILES.into_iter().zip(contents(gate, site)) {
        files::write(&system.caddy().join(name), 0o644, &content)?;
    }
    Ok(())
}

/// The contents of [`FILES`].
pub(crate) fn contents(gate: Gate, site: &Site) -> [String; 2] {
    [options(site), sites(gate, site)]
}

fn options(site: &Site) -> String {
    // Browsers send no name when they are given an address.
    let default = site.addresses().first().map_or_else(|| FALLBACK.to_owned(), IpAddr::to_string);
    let mut text = format!("default_sni {default}\nfallback_sni {FALLBACK}\n");
    // Signs that mean something in a Caddyfile are rare in addresses: such a one is left out.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"@._+-".contains(&b);
    if let Some(contact) = site.contact.as_ref().filter(|contact| contact.bytes().all(plain)) {
        text.push_str(&format!("email {contact}\n"));
    }
    text
}

/// The names and addresses that are sites. A domain that does not lead here yet is none: it would be asked for a
/// certificate; `https://` serves it like any other name.
fn named(site: &Site) -> Vec<(String, Issuer)> {
    let issuer = |address: &IpAddr| if is_public(*address) { Issuer::ShortLived } else { Issuer::Internal };
    let domain = site.domain.clone().filter(|_| site.proved).map(|domain| (domain, Issuer::Public));
    let addresses = site.addresses();
    let addresses = addresses.iter().map(|address| (host(address), issuer(address)));
    domain.into_iter().chain(addresses).chain([(FALLBACK.to_owned(), Issuer::Internal)]).collect()
}

fn sites(gate: Gate, site: &Site) -> String {
    let (snippet, http) = match gate {
        Gate::Fence => ("fence", "import fence"),
        Gate::Site => ("site", "redir https://{host}{uri} 308"),
    };
    let mut text = format!("http:// {{\n\timport proof\n\thandle {{\n\t\t{http}\n\t}}\n}}\n");
    for (name, issuer) in named(site) {
        text.push_str(&format!("https://{name} {{\n{}\timport {snippet}\n}}\n", issuer.directive()));
    }
    text.push_str(&format!("https:// {{\n\timport {snippet}\n}}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Site {
        Site {
            domain: Some("chat.example.org".into()),
            proved: true,
            ipv4: "203.0.113.7".parse().ok(),
            ipv6: "2001:db8::7".parse().ok(),
            contact: Some("admin@example.org".into()),
            ..Site::default()
        }
    }

    /// The part of one site, up to its closing brace.
    fn part<'a>(text: &'a str, name: &str) -> &'a str {
        let rest = text.split(&format!("https://{name} {{\n")).nth(1);
        rest.unwrap_or_else(|| panic!("{name} is no site: {text}")).split("\n}\n").next().unwrap()
    }

    #[test]
    fn the_fence_never_imports_the_site() {
        let fence = sites(Gate::Fence, &whole());
        assert!(!fence.contains("import site") && !fence.contains("redir"), "{fence}");
        let site = sites(Gate::Site, &whole());
        assert!(!site.contains("import fence"), "{site}");
        assert!(fence.contains("import proof") && site.contains("import proof"), "a proof works behind both");
    }

    #[test]
    fn every_name_has_one_issuer_of_its_own() {
        let text = sites(Gate::Site, &whole());
        assert!(part(&text, "chat.example.org").contains("issuer acme\n"), "{text}");
        for address in ["203.0.113.7", "[2001:db8::7]"] {
            assert!(part(&text, address).contains("profile shortlived"), "{text}");
        }
        assert!(part(&text, FALLBACK).contains("tls internal"), "{text}");
        assert_eq!(text.matches("issuer").count() + text.matches("internal\n").count(), 4, "{text}");
    }

    #[test]
    fn nothing_is_ordered_for_a_domain_that_leads_elsewhere() {
        let text = sites(Gate::Site, &Site { proved: false, ..whole() });
        assert!(!text.contains("chat.example.org"), "{text}");
    }

    #[test]
    fn private_addresses_get_certificates_of_this_machine() {
        let site = Site { ipv4: "10.0.0.5".parse().ok(), ipv6: "fd00::5".parse().ok(), ..Site::default() };
        let text = sites(Gate::Site, &site);
        assert!(!text.contains("acme"), "{text}");
        assert!(part(&text, "10.0.0.5").contains("tls internal"), "{text}");
        assert!(part(&text, "[fd00::5]").contains("tls internal"), "{text}");
    }

    #[test]
    fn a_contact_cannot_write_configuration() {
        assert!(options(&whole()).contains("email admin@example.org\n"));
        let sly = Site { contact: Some("a{$PATH}@example.org".into()), ..whole() };
        assert!(!options(&sly).contains("email"), "{}", options(&sly));
    }
}
