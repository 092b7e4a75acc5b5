//! Each fact in words, with its label and what findings may be about it.

use std::collections::BTreeMap;

use super::certificate::Rung;
use super::facts::Facts;

/// A label, what a finding about it is about, and the fact in words or why it is not known.
type Line = (&'static str, &'static [&'static str], Result<String, String>);

/// All facts that a screen shows.
pub(super) fn of(facts: &Facts) -> [Line; 10] {
    let known = |question: &str, fact: Option<String>| {
        fact.ok_or_else(|| {
            let open = facts.unanswered.iter().find(|open| open.question == question);
            open.map_or("not known".to_owned(), |open| format!("not known: {}", open.why))
        })
    };
    [
        ("site", &["site", "app"], known("site", site(facts))),
        ("certificate", &["certificate", "domain"], known("site", certificate(facts))),
        ("first boot", &["first_boot"], Ok(first_boot(facts))),
        ("last boot", &[], last_boot(facts)),
        ("containers", &["containers", "docker", "logs"], known("containers", containers(facts))),
        ("memory", &["memory"], known("memory", memory(facts))),
        ("disk", &["disk"], known("disk", disk(facts))),
        ("ports", &["firewall", "ports"], known("firewall", ports(facts))),
        ("addresses", &[], Ok(addresses(facts))),
        ("inputs", &[], known("state", inputs(facts))),
    ]
}

fn site(facts: &Facts) -> Option<String> {
    let site = Some(&facts.site).filter(|site| !site.url.is_empty())?;
    let door = match (site.status, site.seconds) {
        (Some(status), Some(seconds)) => format!("{} answers {status} in {seconds:.2} s", site.url),
        _ => format!("{} does not answer", site.url),
    };
    let app = if site.app_problem.is_none() {
        "app and database answer"
    } else {
        "app or database does not answer"
    };
    Some(format!("{door}; {app}"))
}

fn certificate(facts: &Facts) -> Option<String> {
    let certificate = facts.certificate.as_ref()?;
    let rung = match certificate.rung {
        Rung::Domain => "for a domain",
        Rung::Address => "for an address",
        Rung::Unknown => "of a kind that is not told",
        Rung::Internal => "of this server's own authority, browsers warn",
    };
    let left = u64::try_from(certificate.until - facts.time)
        .map_or("expired".to_owned(), |left| format!("{} left", span(left)));
    Some(format!("{rung}: {}, by {}, {left}", certificate.names.join(", "), certificate.issuer))
}

fn first_boot(facts: &Facts) -> String {
    let boot = &facts.first_boot;
    match boot.finished {
        true => steps(&boot.seconds),
        false => format!("not finished (the unit is {})", boot.unit),
    }
}

fn last_boot(facts: &Facts) -> Result<String, String> {
    match &facts.last_boot_seconds {
        Some(seconds) if facts.first_boot.finished && *seconds == facts.first_boot.seconds => {
            Ok("the first one".to_owned())
        }
        Some(seconds) => Ok(steps(seconds)),
        None => Err("not known: none has ended since the machine was switched on".to_owned()),
    }
}

/// The steps of a boot, the longest first.
fn steps(seconds: &BTreeMap<String, f64>) -> String {
    let mut steps: Vec<(&String, &f64)> = seconds.iter().collect();
    steps.sort_by(|one, other| other.1.total_cmp(one.1));
    let total: f64 = seconds.values().sum();
    let steps: Vec<String> = steps.iter().map(|(name, seconds)| format!("{name} {seconds:.1}")).collect();
    format!("{total:.1} s: {}", steps.join(", "))
}

fn containers(facts: &Facts) -> Option<String> {
    let containers = facts.containers.as_ref()?;
    let told = containers.iter().map(|container| {
        let health = container.health.as_ref().map_or(String::new(), |health| format!(" ({health})"));
        let restarts =
            if container.restarts > 0 { format!(", {} restarts", container.restarts) } else { String::new() };
        format!("{} {}{health}{restarts}", container.name.trim_start_matches("echora-"), container.state)
    });
    Some(told.collect::<Vec<_>>().join("; "))
}

fn memory(facts: &Facts) -> Option<String> {
    let memory = facts.memory.as_ref()?;
    let swap = match memory.swap_mb {
        0 => "no swap".to_owned(),
        swap => format!("swap {} of {swap} MB free", memory.swap_free_mb),
    };
    Some(format!("{} of {} MB available; {swap}", memory.available_mb, memory.total_mb))
}

fn disk(facts: &Facts) -> Option<String> {
    let disk = facts.disk.as_ref()?;
    let gigabytes = |mb: u64| format!("{}.{}", mb / 1024, mb % 1024 * 10 / 1024);
    Some(format!("{} of {} GB free ({})", gigabytes(disk.free_mb), gigabytes(disk.size_mb), disk.kind))
}

fn ports(facts: &Facts) -> Option<String> {
    let ports = facts.ports.as_ref()?;
    let told = ports.iter().map(|port| {
        let program = port.program.as_ref().map_or(String::new(), |program| format!(" {program}"));
        format!("{}{program} {}", port.number, port.firewall)
    });
    // From inside no more can be told.
    let told = told.collect::<Vec<_>>().join(", ");
    Some(format!("{told} (by the firewall here; one of the provider's is not seen)"))
}

fn addresses(facts: &Facts) -> String {
    let addresses = &facts.addresses;
    let own: Vec<&str> =
        [&addresses.ipv4, &addresses.ipv6].into_iter().flatten().map(String::as_str).collect();
    let own = if own.is_empty() { "none with a route".to_owned() } else { own.join(", ") };
    format!("{own}; voice is sent to {}", addresses.announced.as_deref().unwrap_or("nobody knows"))
}

fn inputs(facts: &Facts) -> Option<String> {
    let inputs = facts.inputs.as_ref()?;
    // What is left out needs no place on a screen.
    let told = inputs
        .iter()
        .filter_map(|(name, used)| Some(format!("{name} = {} ({})", used.value.as_deref()?, used.source)));
    let told: Vec<String> = told.collect();
    Some(if told.is_empty() { "none, all defaults".to_owned() } else { told.join("; ") })
}

/// So many seconds in the two largest units.
pub(super) fn span(seconds: u64) -> String {
    match (seconds / 86_400, seconds % 86_400 / 3600, seconds % 3600 / 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}
