//! The facts on one screen: 80 columns, 40 lines.

use super::certificate::Rung;
use super::facts::Facts;
use super::findings::{Finding, Severity};

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
    let up = facts.up_seconds.map_or(String::new(), |up| format!(", up {}", span(up)));
    screen.lines.push(fit(&format!("echora-doctor {} on {}{up}", facts.version, facts.system), COLUMNS));
    screen.lines.push(String::new());
    screen.say("site", &["site", "app"], &site(facts));
    screen.say("certificate", &["certificate", "domain"], &certificate(facts));
    screen.say("first boot", &["first_boot"], &first_boot(facts));
    screen.say("containers", &["containers", "docker", "logs"], &containers(facts));
    screen.say("memory", &["memory"], &memory(facts));
    screen.say("disk", &["disk"], &disk(facts));
    screen.say("ports", &["firewall", "ports"], &ports(facts));
    screen.say("addresses", &[], &addresses(facts));
    screen.say("inputs", &[], &inputs(facts));
    screen.what_to_do();
    screen.lines.join("\n") + "\n"
}

impl Screen<'_> {
    /// A fact with a mark that tells whether there is something to do about it, and its text in as many lines as it
    /// takes, but for three.
    fn say(&mut self, label: &str, about: &[&str], text: &str) {
        let worst =
            self.findings.iter().filter(|finding| about.contains(&finding.about)).map(|f| f.severity).min();
        let (mark, colour) = match worst {
            Some(Severity::Problem) => ("!!", "31"),
            Some(Severity::Advice) => (" -", "33"),
            None => ("ok", "32"),
        };
        let mut texts = wrap(text, COLUMNS - INDENT).into_iter();
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

fn site(facts: &Facts) -> String {
    let site = &facts.site;
    let door = match (site.url.is_empty(), site.status, site.seconds) {
        (true, ..) => "not yet".to_owned(),
        (_, Some(status), Some(seconds)) => format!("{} answers {status} in {seconds:.2} s", site.url),
        _ => format!("{} does not answer", site.url),
    };
    let app = if site.app_problem.is_none() {
        "app and database answer"
    } else {
        "app or database does not answer"
    };
    format!("{door}; {app}")
}

fn certificate(facts: &Facts) -> String {
    let Some(certificate) = &facts.certificate else { return "not seen".to_owned() };
    let rung = match certificate.rung {
        Rung::Domain => "for a domain",
        Rung::Address => "for an address",
        Rung::Internal => "of this server's own authority, browsers warn",
    };
    let left = u64::try_from(certificate.until - facts.time)
        .map_or("expired".to_owned(), |left| format!("{} left", span(left)));
    format!("{rung}: {}, by {}, {left}", certificate.names.join(", "), certificate.issuer)
}

fn first_boot(facts: &Facts) -> String {
    let boot = &facts.first_boot;
    let mut steps: Vec<(&String, &f64)> = boot.seconds.iter().collect();
    steps.sort_by(|one, other| other.1.total_cmp(one.1));
    let total: f64 = boot.seconds.values().sum();
    let steps: Vec<String> = steps.iter().map(|(name, seconds)| format!("{name} {seconds:.1}")).collect();
    match boot.finished {
        true => format!("{total:.1} s: {}", steps.join(", ")),
        false => format!("not finished (the unit is {})", boot.unit),
    }
}

fn containers(facts: &Facts) -> String {
    let Some(containers) = &facts.containers else { return "not known".to_owned() };
    let told = containers.iter().map(|container| {
        let health = container.health.as_ref().map_or(String::new(), |health| format!(" ({health})"));
        let restarts =
            if container.restarts > 0 { format!(", {} restarts", container.restarts) } else { String::new() };
        format!("{} {}{health}{restarts}", container.name.trim_start_matches("echora-"), container.state)
    });
    told.collect::<Vec<_>>().join("; ")
}

fn memory(facts: &Facts) -> String {
    let Some(memory) = &facts.memory else { return "not known".to_owned() };
    let swap = match memory.swap_mb {
        0 => "no swap".to_owned(),
        swap => format!("swap {} of {swap} MB free", memory.swap_free_mb),
    };
    format!("{} of {} MB available; {swap}", memory.available_mb, memory.total_mb)
}

fn disk(facts: &Facts) -> String {
    let Some(disk) = &facts.disk else { return "not known".to_owned() };
    let gigabytes = |mb: u64| format!("{}.{}", mb / 1024, mb % 1024 * 10 / 1024);
    format!("{} of {} GB free ({})", gigabytes(disk.free_mb), gigabytes(disk.size_mb), disk.kind)
}

fn ports(facts: &Facts) -> String {
    let Some(ports) = &facts.ports else { return "not known".to_owned() };
    let told = ports.iter().map(|port| {
        let program = port.program.as_ref().map_or(String::new(), |program| format!(" {program}"));
        format!("{}{program} {}", port.number, port.firewall)
    });
    // From inside no more can be told.
    format!(
        "{} (by the firewall here; one of the provider's is not seen)",
        told.collect::<Vec<_>>().join(", ")
    )
}

fn addresses(facts: &Facts) -> String {
    let addresses = &facts.addresses;
    let own: Vec<&str> =
        [&addresses.ipv4, &addresses.ipv6].into_iter().flatten().map(String::as_str).collect();
    let own = if own.is_empty() { "none with a route".to_owned() } else { own.join(", ") };
    format!("{own}; voice is sent to {}", addresses.announced.as_deref().unwrap_or("nobody knows"))
}

fn inputs(facts: &Facts) -> String {
    let Some(inputs) = &facts.inputs else { return "not recorded".to_owned() };
    // What is left out needs no place on a screen.
    let told = inputs
        .iter()
        .filter_map(|(name, used)| Some(format!("{name} = {} ({})", used.value.as_deref()?, used.source)));
    let told: Vec<String> = told.collect();
    if told.is_empty() { "none, all defaults".to_owned() } else { told.join("; ") }
}

/// So many seconds in the two largest units.
fn span(seconds: u64) -> String {
    match (seconds / 86_400, seconds % 86_400 / 3600, seconds % 3600 / 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
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
