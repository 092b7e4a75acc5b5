//! The certificate that visitors get, out of what curl tells of it.

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Who gives browsers a reason to trust it, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rung {
    /// Of this server's own authority: browsers warn.
    Internal,
    /// Of a public authority, for an address.
    Address,
    /// Of a public authority, for a name.
    Domain,
    /// Masked: the word for it is a secret of this machine.
    #[serde(other)]
    Unknown,
}

/// A certificate; times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Certificate {
    pub(crate) rung: Rung,
    pub(crate) issuer: String,
    pub(crate) names: Vec<String>,
    pub(crate) from: i64,
    pub(crate) until: i64,
    /// Whether this machine's own list of authorities has its issuer.
    pub(crate) trusted: bool,
}

impl Certificate {
    /// Reads the first certificate of curl's `%{certs}`, the server's own; what follows are its issuers.
    pub(crate) fn parse(certs: &str, trusted: bool) -> Option<Self> {
        let field = |name: &str| certs.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let issuer = field("Issuer")?;
        let names: Vec<String> = field("X509v3 Subject Alternative Name")
            .unwrap_or_default()
            .split(", ")
            .filter_map(|name| Some(name.split_once(':')?.1.to_owned()))
            .collect();
        let is_address =
            !names.is_empty() && names.iter().all(|name| name.parse::<std::net::IpAddr>().is_ok());
        let rung = match (issuer.contains("Caddy Local Authority"), is_address) {
            (true, _) => Rung::Internal,
            (false, true) => Rung::Address,
            (false, false) => Rung::Domain,
        };
        let (from, until) = (seconds(field("Start date")?)?, seconds(field("Expire date")?)?);
        Some(Self { rung, issuer: short(issuer), names, from, until, trusted })
    }

    /// Renewed at the last third of its life; with a sixth left nobody has.
    pub(crate) fn is_overdue(&self, now: i64) -> bool {
        self.until - now < (self.until - self.from) / 6
    }
}

/// Seconds since 1970 by this machine's clock: a certificate's dates are compared with nothing else.
pub(crate) fn now() -> i64 {
    clock_gettime(ClockId::Realtime).tv_sec
}

/// `C = US, O = Let's Encrypt, CN = E7` becomes `Let's Encrypt E7`.
fn short(issuer: &str) -> String {
    let part = |name: &str| {
        let of = |part: &str| {
            let (key, value) = part.split_once('=')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        };
        issuer.split(',').find_map(of)
    };
    let parts: Vec<String> = [part("O"), part("CN")].into_iter().flatten().collect();
    if parts.is_empty() { issuer.trim().to_owned() } else { parts.join(" ") }
}

/// Reads `Nov 25 06:39:59 2026 GMT`.
fn seconds(date: &str) -> Option<i64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut fields = date.split_whitespace();
    let month = i64::try_from(MONTHS.find(fields.next()?)? / 3 + 1).ok()?;
    let day: i64 = fields.next()?.parse().ok()?;
    let clock: Vec<i64> = fields.next()?.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let year: i64 = fields.next()?.parse().ok()?;
    let [hours, minutes, seconds] = clock.try_into().ok()?;
    Some(days(year, month, day) * 86_400 + hours * 3600 + minutes * 60 + seconds)
}

/// Days since 1970 in the Gregorian calendar, whose year is taken to begin in March: the leap day is its last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    year * 365 + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "Subject:\nIssuer:CN = Caddy Local Authority - ECC Intermediate\n\
        X509v3 Subject Alternative Name:IP Address:203.0.113.7\nStart date:Nov 25 06:39:59 2026 GMT\n\
        Expire date:Nov 25 18:39:59 2026 GMT\nIssuer:CN = Caddy Local Authority - 2026 ECC Root\n";

    #[test]
    fn each_rung_is_told_by_issuer_and_names() {
        let own = Certificate::parse(OWN, false).unwrap();
        assert_eq!((own.rung, own.names.as_slice()), (Rung::Internal, ["203.0.113.7".to_owned()].as_slice()));
        assert_eq!((own.from, own.until - own.from), (1_795_588_799, 43_200));
        let public = OWN
            .replace("CN = Caddy Local Authority - ECC Intermediate", "C = US, O = Let's Encrypt, CN = YE1");
        let address = Certificate::parse(&public, true).unwrap();
        assert_eq!((address.rung, address.issuer.as_str()), (Rung::Address, "Let's Encrypt YE1"));
        let domain = public.replace("IP Address:203.0.113.7", "DNS:chat.example.org, DNS:www.example.org");
        let domain = Certificate::parse(&domain, true).unwrap();
        assert_eq!((domain.rung, domain.names.len()), (Rung::Domain, 2));
        assert_eq!(Certificate::parse("", false), None);
    }

    #[test]
    fn a_renewal_that_is_due_is_told_from_one_that_did_not_come() {
        let certificate = Certificate::parse(OWN, false).unwrap();
        assert!(!certificate.is_overdue(certificate.until - 3 * 3600));
        assert!(certificate.is_overdue(certificate.until - 3600));
        assert!(certificate.is_overdue(certificate.until + 1));
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (date, expected) in [
            ("Jan  1 00:00:00 1970 GMT", 0),
            ("Feb 29 12:00:00 2028 GMT", 1_835_438_400),
            ("Mar  1 00:00:00 2100 GMT", 4_107_542_400),
        ] {
            assert_eq!(seconds(date), Some(expected), "{date}");
        }
        assert_eq!(seconds("yesterday"), None);
    }
}
