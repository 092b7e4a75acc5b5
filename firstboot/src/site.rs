//! What the web server of this machine serves, and under which names: `/var/lib/echora/site.json`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::inputs::Inputs;
use crate::instance::Instance;
use crate::state::State;
use crate::system::System;

/// The names and addresses of the site. Caddy's configuration and the app's variables follow from it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Site {
    /// The domain, once somebody wants one.
    pub(crate) domain: Option<String>,
    /// The operator chose the domain on this machine, or to have none: the inputs of a later boot do not replace it.
    pub(crate) chosen: bool,
    /// The domain was seen to lead here, or the operator insists: no certificate is ordered for it before.
    pub(crate) proved: bool,
    /// The addresses of the machine, which its state keeps.
    #[serde(skip)]
    pub(crate) ipv4: Option<Ipv4Addr>,
    /// See `ipv4`.
    #[serde(skip)]
    pub(crate) ipv6: Option<Ipv6Addr>,
    /// Where a certificate authority may write to.
    pub(crate) contact: Option<String>,
}

impl Site {
    /// The site of a boot. Whether its domain leads here is to be proved again: this may be a copy of the machine
    /// that it leads to.
    pub(crate) fn of(inputs: &Inputs, instance: &Instance, earlier: Option<Self>) -> Self {
        let chosen = earlier.filter(|site| site.chosen);
        let site = Self {
            chosen: chosen.is_some(),
            domain: chosen.map_or_else(|| inputs.domain.clone(), |site| site.domain),
            contact: inputs.contact.clone(),
            ..Self::default()
        };
        site.at(instance.public_ipv4.as_deref(), instance.public_ipv6.as_deref())
    }

    /// The same site on a machine with these addresses.
    pub(crate) fn at(self, ipv4: Option<&str>, ipv6: Option<&str>) -> Self {
        let (ipv4, ipv6) = (ipv4.and_then(|text| text.parse().ok()), ipv6.and_then(|text| text.parse().ok()));
        Self { ipv4, ipv6, ..self }
    }

    /// The site that a machine with this state serves.
    pub(crate) fn of_state(system: &System, state: &State) -> Result<Option<Self>> {
        let site = Self::read(system)?;
        Ok(site.map(|site| site.at(state.public_ipv4.as_deref(), state.public_ipv6.as_deref())))
    }

    /// What stands in the file, without addresses.
    pub(crate) fn read(system: &System) -> Result<Option<Self>> {
        let path = system.site();
        files::read(&path)?
            .map(|text| serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display())))
            .transpose()
    }

    pub(crate) fn write(&self, system: &System) -> Result<()> {
        files::write(&system.site(), 0o600, &(serde_json::to_string_pretty(self)? + "\n"))
    }

    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.ipv4.map(IpAddr::V4).into_iter().chain(self.ipv6.map(IpAddr::V6)).collect()
    }

    /// Where the site can be reached now: the domain once it leads here, else the best address.
    pub(crate) fn url(&self) -> String {
        match (self.domain.as_ref().filter(|_| self.proved), self.addresses().first()) {
            (Some(domain), _) => format!("https://{domain}"),
            (None, Some(address)) => format!("https://{}", host(address)),
            (None, None) => "https://localhost".into(),
        }
    }

    /// Variables of the app. Passkeys need a domain; the app refuses to start with an address or an empty value.
    pub(crate) fn passkeys(&self) -> String {
        self.domain.as_ref().map_or_else(String::new, |domain| {
            format!("WEBAUTHN_RP_ID={domain}\nWEBAUTHN_RP_ORIGIN=https://{domain}\n")
        })
    }
}

/// An address as it stands in a URL.
pub(crate) fn host(address: &IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_the_best_name_that_works() {
        let both = Site {
            ipv4: "203.0.113.7".parse().ok(),
            ipv6: "2001:db8::7".parse().ok(),
            domain: Some("chat.example.org".into()),
            ..Site::default()
        };
        assert_eq!(both.url(), "https://203.0.113.7", "nobody knows yet where the domain leads");
        assert_eq!(Site { proved: true, ..both.clone() }.url(), "https://chat.example.org");
        assert_eq!(Site { ipv4: None, ..both.clone() }.url(), "https://[2001:db8::7]");
        assert_eq!(Site::default().url(), "https://localhost");
    }

    #[test]
    fn the_operators_choice_outlives_the_inputs_and_a_proof_does_not() {
        let mut inputs = crate::inputs::choose(&mut []).0;
        inputs.domain = Some("new.example.org".into());
        let earlier = Site { domain: Some("old.example.org".into()), proved: true, ..Site::default() };
        let domain = |earlier: Site| {
            let site = Site::of(&inputs, &Instance::default(), Some(earlier));
            assert!(!site.proved);
            site.domain
        };
        assert_eq!(domain(earlier.clone()).unwrap(), "new.example.org");
        assert_eq!(domain(Site { chosen: true, ..earlier }).unwrap(), "old.example.org");
        assert_eq!(domain(Site { chosen: true, ..Site::default() }), None, "the operator took it away");
    }
}
