//! Wall-clock time for names and records; durations are measured elsewhere, on the monotonic clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, Utc};

/// Now in UTC, to the second.
#[must_use]
pub fn utc() -> DateTime<Utc> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    DateTime::from_timestamp(seconds.cast_signed(), 0).unwrap_or_default()
}

/// Now in UTC, RFC 3339 to the second.
#[must_use]
pub fn now() -> String {
    utc().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Seconds from a time that [`now`] told until now; none when it is no time.
#[must_use]
pub fn seconds_since(then: &str) -> Option<f64> {
    let then = DateTime::parse_from_rfc3339(then).ok()?;
    Some((utc() - then.to_utc()).as_seconds_f64())
}

/// A length of time as people write it: a whole number with `s`, `m`, `h` or `d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
    let read = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(*unit)?.parse().ok()?;
        number.checked_mul(*seconds)
    });
    read.map(Duration::from_secs).ok_or_else(|| "write a number with s, m, h or d, such as 2h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_counted_from_a_time_that_was_told() {
        assert!(seconds_since(&now()).unwrap() < 60.0);
        assert!(seconds_since("2026-01-01T00:00:00Z").unwrap() > 1e6);
        assert_eq!(seconds_since("yesterday"), None);
    }

    #[test]
    fn lengths_of_time_have_a_unit() {
        assert_eq!(duration("90m"), duration("5400s"));
        assert_eq!(duration("1d"), Ok(Duration::from_secs(86_400)));
        for bad in ["", "2", "h", "-1h", "1.5h", "2 h", "99999999999999999999d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
