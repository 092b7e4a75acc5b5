//! The domain: proved before anything is ordered for it, taken as soon as it leads here.

use std::net::{IpAddr, Ipv6Addr};

use serde_json::Value;

use crate::support::checks::{SITES, assert_is_set_up};
use crate::support::http::Answer;
use crate::support::machine::Machine;
use crate::support::names::{Internet, fresh, serve_proof};

const NAME: &str = "chat.example.org";

/// A machine whose buyer wants the domain.
fn with_domain() -> Machine {
    let machine = Machine::new();
    machine.configure(&format!("domain = '{NAME}'\nemail = 'admin@example.org'\n"));
    machine
}

fn report(machine: &Machine) -> Value {
    serde_json::from_str(&machine.read("/var/lib/echora/domain.json")).unwrap()
}

/// The part of the sites' file that is the domain's.
fn site_of_domain(machine: &Machine) -> Option<String> {
    let sites = machine.read(SITES);
    let rest = sites.split(&format!("https://{NAME} {{\n")).nth(1)?;
    rest.split("\n}\n").next().map(str::to_owned)
}

#[test]
fn a_domain_that_leads_here_gets_its_certificate_at_first_boot() {
    let machine = with_domain();
    let _internet = Internet::leading_to(&machine, NAME);
    machine.boot_well();
    assert_is_set_up(&machine);
    assert_eq!(machine.login().unwrap().url, format!("https://{NAME}"));
    assert!(site_of_domain(&machine).unwrap().contains("issuer acme\n"), "{}", machine.read(SITES));
    let options = machine.read("/var/lib/echora/caddy/echora.options");
    assert!(options.contains("email admin@example.org\n"), "{options}");
    assert_eq!(report(&machine)["proved"], true);
    assert!(!machine.path("/var/lib/echora/caddy/proof").exists(), "the token goes with the proof");
}

#[test]
fn a_domain_that_leads_elsewhere_is_told_and_nothing_is_ordered() {
    let machine = with_domain();
    let _internet = Internet::of(&machine);
    machine.boot_well();
    assert_is_set_up(&machine);
    assert_eq!(machine.login().unwrap().url, "https://203.0.113.7", "the login is for where the site is now");
    assert_eq!(site_of_domain(&machine), None, "{}", machine.read(SITES));
    let console = machine.console();
    let told =
        console.lines().any(|line| line.contains("WARNING") && line.contains("A record with 203.0.113.7"));
    assert!(told && console.contains("echora-domain --check"), "{console}");
    assert_eq!(report(&machine)["proved"], false);
    // The app may know the name already; it starts with it as without it.
    assert!(machine.read("/var/lib/echora/backend.env").contains(NAME));
}

/// One trouble after the other.
#[test]
fn each_trouble_is_told_in_words() {
    let machine = Machine::new();
    machine.boot_well();
    let mut internet = Internet::of(&machine);
    let here = internet.web(serve_proof(&machine, NAME));
    let stranger = internet.web(|_| Answer::Reply(200, "welcome".into()));
    let echo = internet.web(|request| Answer::Reply(200, request.path.clone()));
    let network = internet.web_of("Server: cloudflare", |_| Answer::Reply(301, String::new()));
    let (nobody, v6) = (IpAddr::from(fresh()), IpAddr::from(Ipv6Addr::LOCALHOST));
    let rows: [(&[IpAddr], String); 7] = [
        (&[], "A record with 203.0.113.7".into()),
        (&[nobody], format!("points to {nobody}, which is not this server")),
        (&[stranger], format!("points to {stranger}, which is not this server")),
        (&[echo], echo.to_string()),
        (&[here, stranger], stranger.to_string()),
        (&[network], format!("{network}, which is Cloudflare's")),
        (&[here, v6], format!("the AAAA record of {NAME} points to {v6}")),
    ];
    for (addresses, words) in rows {
        internet.point(NAME, addresses);
        let run = machine.call(&["domain", "--check", NAME]);
        assert_eq!(run.status.code(), Some(1), "{addresses:?}: {}", run.stdout);
        assert!(run.stdout.contains(&words), "{words}: {}", run.stdout);
        // What is only asked for changes nothing; who insists gets it, and a report.
        assert!(!machine.read("/var/lib/echora/site.json").contains(NAME));
        let refused = machine.call(&["domain", NAME]);
        assert_eq!(refused.status.code(), Some(1), "{}", refused.stdout);
        assert!(refused.stderr.contains("nothing was changed"), "{}", refused.stderr);
        assert_eq!(site_of_domain(&machine), None);
    }
    internet.refuse();
    let run = machine.call(&["domain", "--check", NAME]);
    assert!(run.stdout.contains("nobody tells where"), "{}", run.stdout);
    assert_eq!(machine.call(&["domain", "--force", NAME]).status.code(), Some(0));
    assert_eq!(report(&machine)["findings"][0]["verdict"], "unknown");
    assert!(site_of_domain(&machine).unwrap().contains("issuer acme"));
}

/// The machine's own name in /etc/hosts is not what the world sees.
#[test]
fn the_hosts_file_is_not_asked() {
    let machine = with_domain();
    let _internet = Internet::leading_to(&machine, NAME);
    machine.put("/etc/hosts", &format!("127.0.1.1 {NAME}\n"));
    machine.boot_well();
    assert_eq!(machine.login().unwrap().url, format!("https://{NAME}"));
}

#[test]
fn the_climb_takes_the_domain_once_it_leads_here() {
    let machine = with_domain();
    let mut internet = Internet::of(&machine);
    machine.boot_well();
    let (password, secrets) = (machine.login().unwrap().password, machine.secrets());
    machine.journal.calm();
    let run = machine.call(&["climb"]);
    assert_eq!(run.status.code(), Some(1), "its unit tries again after a failure");
    assert!(run.stderr.contains("has no A and no AAAA record"), "{}", run.stderr);
    assert_eq!(machine.journal.lines(), [""; 0], "nothing is touched before the proof");

    let address = internet.web(serve_proof(&machine, NAME));
    internet.point(NAME, &[address]);
    let run = machine.call(&["climb"]);
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
    assert!(site_of_domain(&machine).unwrap().contains("issuer acme\n"));
    assert!(machine.console().contains("https://chat.example.org"), "{}", machine.console());
    assert_eq!(machine.state()["url"], "https://chat.example.org");
    let kept = echora_firstboot::login::find(&machine.read("/root/echora-credentials")).unwrap();
    assert_eq!((kept.url.as_str(), kept.password), ("https://chat.example.org", password));
    assert_eq!(machine.secrets(), secrets);
    let lines = machine.journal.lines();
    assert!(!lines.iter().any(|line| line.contains("backend")), "the app knew the name: {lines:#?}");

    machine.journal.calm();
    assert_eq!(machine.call(&["climb"]).status.code(), Some(0));
    assert_eq!(machine.journal.lines(), [""; 0], "there is nothing left to do");
}

#[test]
fn without_a_domain_there_is_nothing_to_climb() {
    let machine = Machine::new();
    assert_eq!(machine.call(&["climb"]).status.code(), Some(0), "before first boot");
    machine.boot_well();
    machine.journal.calm();
    assert_eq!(machine.call(&["climb"]).status.code(), Some(0));
    assert_eq!(machine.journal.lines(), [""; 0]);
    assert!(machine.console().contains("passkeys need a domain"), "{}", machine.console());
}
