//! How many requests each token has made.

use std::collections::BTreeMap;

use minijinja::{Value, context};
use provider_profiles::Rate;

use super::clock::Clock;

/// The requests of the current windows, by token.
#[derive(Debug, Default)]
pub(super) struct Rates {
    windows: BTreeMap<String, [Window; 2]>,
    /// A limit in place of the description's.
    limit: Option<u32>,
}

/// When a window ends, and the requests in it.
#[derive(Debug, Default)]
struct Window {
    end: f64,
    made: u32,
}

/// How a token stands after a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    limit: u32,
    remaining: u32,
    reset: f64,
    wait: f64,
    /// Whether this request was one too many.
    pub(super) exceeded: bool,
}

impl Rates {
    /// With `limit` in place of the description's.
    pub(super) fn limited(limit: Option<u32>) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Counts one request.
    pub(super) fn count(&mut self, token: &str, rate: &Rate, clock: &Clock) -> Standing {
        let (now, limit) = (clock.now(), self.limit.unwrap_or(rate.requests));
        let [whole, burst] = self.windows.entry(token.to_owned()).or_default();
        let exceeded = whole.count(now, rate.seconds) > limit;
        let bursts = rate.burst.is_some_and(|limit| burst.count(now, limit.seconds) > limit.requests);
        let end = if bursts && !exceeded { burst.end } else { whole.end };
        Standing {
            limit,
            remaining: limit.saturating_sub(whole.made),
            reset: whole.end.ceil(),
            wait: clock.ours(end - now).ceil(),
            exceeded: exceeded || bursts,
        }
    }
}

impl Window {
    /// The requests with this one.
    fn count(&mut self, now: f64, seconds: u32) -> u32 {
        if self.end <= now {
            *self = Self { end: now + f64::from(seconds), made: 0 };
        }
        self.made = self.made.saturating_add(1);
        self.made
    }
}

impl Standing {
    /// What headers see.
    pub(super) fn context(self) -> Value {
        let Self { limit, remaining, reset, wait, .. } = self;
        #[expect(clippy::cast_possible_truncation, reason = "whole seconds of this century")]
        let (reset, wait) = (reset as i64, wait as i64);
        context! { limit, remaining, reset, wait }
    }
}
