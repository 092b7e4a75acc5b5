//! The provider's clock, which may run faster than ours.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat};

/// A clock that started when the simulator did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started: Instant,
    epoch: f64,
    speed: f64,
}

impl Clock {
    /// `speed` is how many of the provider's seconds go by in one of ours.
    pub(super) fn new(speed: f64) -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Self { started: Instant::now(), epoch, speed }
    }

    /// The provider's time in seconds since 1970.
    pub(super) fn now(&self) -> f64 {
        self.epoch + self.started.elapsed().as_secs_f64() * self.speed
    }

    /// How many of our seconds `seconds` of the provider's take.
    pub(super) fn ours(&self, seconds: f64) -> f64 {
        seconds / self.speed
    }
}

/// A time as RFC 3339 has it, in whole seconds and UTC.
pub(super) fn date(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "whole seconds of this century")]
    let moment = DateTime::from_timestamp(seconds as i64, 0).unwrap_or_default();
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}
