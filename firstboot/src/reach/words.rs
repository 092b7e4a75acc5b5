//! What a finding is called, and what to do about it.

use std::net::IpAddr;

use anyhow::Error;

use super::fetch::Fetched;
use super::{Finding, Verdict};

/// The name servers do not tell.
pub(super) fn unknown(domain: &str, error: &Error) -> Finding {
    let words = format!("nobody tells where {domain} leads: {error:#}; look at this server's DNS settings");
    Finding { address: None, verdict: Verdict::Unknown, words }
}

/// The domain has no address.
pub(super) fn no_record(domain: &str, own: &[IpAddr]) -> Finding {
    let records: Vec<String> =
        own.iter().map(|address| format!("{} record with {address}", record(*address))).collect();
    let cure = match records.is_empty() {
        true => "make an A record with this server's address".to_owned(),
        false => format!("make an {}", records.join(" and an ")),
    };
    let words = format!("{domain} has no A and no AAAA record: {cure}; new records take minutes to be seen");
    Finding { address: None, verdict: Verdict::NoRecord, words }
}

/// One address of the domain.
pub(super) fn of(domain: &str, address: IpAddr, own: &[IpAddr], fetched: &Fetched) -> Finding {
    let record = record(address);
    let points = format!("the {record} record of {domain} points to {address}");
    let is_own = own.contains(&address);
    let (verdict, words) = match fetched {
        Fetched::Token => (Verdict::Here, format!("{points}: this server")),
        Fetched::Other { network: Some(network), .. } if !is_own => (
            Verdict::Cdn,
            format!(
                "{points}, which is {network}'s and does not pass on what this server serves over HTTP: switch its \
                 proxying off for {domain} (\"DNS only\") until the certificate is there"
            ),
        ),
        Fetched::Other { status, .. } if is_own => (
            Verdict::Occupied,
            format!(
                "{points}, which is this server's, but something else answers there at port 80 (status {status}): see \
                 what holds the port with `ss -ltnp`"
            ),
        ),
        Fetched::Nothing(why) if is_own => (
            Verdict::Closed,
            format!(
                "{points}, which is this server's, but port 80 is closed ({why}): open it in the provider's firewall \
                 and in ufw"
            ),
        ),
        Fetched::Other { status, .. } => {
            (Verdict::Elsewhere, elsewhere(&points, own, record, &format!("answers with status {status}")))
        }
        Fetched::Nothing(why) => (
            Verdict::Elsewhere,
            elsewhere(&points, own, record, &format!("does not answer at port 80: {why}")),
        ),
    };
    Finding { address: Some(address), verdict, words }
}

fn elsewhere(points: &str, own: &[IpAddr], kind: &str, how: &str) -> String {
    let same = own.iter().find(|address| record(**address) == kind);
    let cure = match same {
        Some(address) => format!("change it to {address}, or, behind a NAT, forward ports 80 and 443"),
        None => format!("remove it: this server has no address for an {kind} record"),
    };
    // Authorities ask over IPv6 first: https://letsencrypt.org/docs/ipv6-support/
    let why = if kind == "AAAA" { "; certificate authorities ask there first" } else { "" };
    format!("{points}, which is not this server ({how}){why}: {cure}")
}

fn record(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "A" } else { "AAAA" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [&str; 2] = ["203.0.113.7", "2001:db8::7"];

    fn finding(address: &str, fetched: &Fetched) -> Finding {
        let own = OWN.map(|address| address.parse().unwrap());
        of("chat.example.org", address.parse().unwrap(), &own, fetched)
    }

    #[test]
    fn each_trouble_has_its_verdict_and_names_the_address() {
        let other = |network| Fetched::Other { status: "404".into(), network };
        let nothing = Fetched::Nothing("Connection refused".into());
        let rows = [
            ("203.0.113.7", &Fetched::Token, Verdict::Here, "this server"),
            ("198.51.100.9", &Fetched::Token, Verdict::Here, "this server"),
            ("198.51.100.9", &other(None), Verdict::Elsewhere, "change it to 203.0.113.7"),
            ("198.51.100.9", &nothing, Verdict::Elsewhere, "refused"),
            ("198.51.100.9", &other(Some("Cloudflare")), Verdict::Cdn, "Cloudflare"),
            ("2001:db8::9", &nothing, Verdict::Elsewhere, "change it to 2001:db8::7"),
            ("203.0.113.7", &nothing, Verdict::Closed, "port 80 is closed"),
            ("203.0.113.7", &other(None), Verdict::Occupied, "something else"),
        ];
        for (address, fetched, verdict, words) in rows {
            let found = finding(address, fetched);
            assert_eq!((found.verdict, found.address), (verdict, address.parse().ok()), "{found:?}");
            assert!(found.words.contains(address) && found.words.contains(words), "{found:?}");
        }
    }

    #[test]
    fn a_missing_record_names_the_addresses_to_enter() {
        let own = OWN.map(|address| address.parse().unwrap());
        let words = no_record("chat.example.org", &own).words;
        assert!(words.contains("A record with 203.0.113.7 and an AAAA record with 2001:db8::7"), "{words}");
    }

    #[test]
    fn a_record_that_the_machine_has_no_address_for_is_to_be_removed() {
        let words = of("chat.example.org", "2001:db8::9".parse().unwrap(), &[], &Fetched::broken()).words;
        assert!(words.contains("AAAA record") && words.contains("remove it"), "{words}");
    }
}
