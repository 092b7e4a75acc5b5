//! Wall-clock time for names and records; durations are measured elsewhere, on the monotonic clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now in UTC, RFC 3339 to the second.
#[must_use]
pub fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    chrono::DateTime::from_timestamp(seconds.cast_signed(), 0)
        .unwrap_or_default()
        .to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
