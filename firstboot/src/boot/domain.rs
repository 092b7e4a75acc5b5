//! The domain at first boot: it seldom leads here yet, because the address is known only since the machine is.

use anyhow::Result;

use crate::console::Console;
use crate::reach::Report;
use crate::site::Site;
use crate::system::System;

/// Looks whether the domain leads here, and says on the console what the buyer should know of it.
pub(super) fn prove(system: &System, console: &Console, site: &mut Site) -> Result<()> {
    let Some(domain) = site.domain.clone() else {
        return Ok(());
    };
    let report = Report::make(system, &domain, site)?;
    report.write(system)?;
    site.proved = report.proved;
    for problem in report.problems() {
        console.say(&format!("WARNING: {problem}"));
    }
    if !report.proved {
        console.say(&format!(
            "WARNING: until {domain} leads here this server is at {}; it looks again by itself, and \
             `echora-domain --check` looks now",
            site.url()
        ));
    }
    Ok(())
}

/// What a site without a domain cannot do: <https://www.w3.org/TR/webauthn-3/#relying-party-identifier>.
pub(super) fn say_what_needs_one(console: &Console, site: &Site) {
    if site.domain.is_none() {
        console.say("passkeys need a domain: point one here, then run `echora-domain NAME` on this server");
    }
}
