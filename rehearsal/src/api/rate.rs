//! How many requests each token has made.

use std::collections::BTreeMap;

use minijinja::{Value, context};
use provider_profiles::Rate;

use super::clock::Clock;

/// The requests of the current windows, by token.
#[derive(Debug, Default)]
pub(super) struct Rates {
    windows: BTreeMap<String, (f64, u32)>,
    /// A limit in place of the description's.
    limit: Option<u32>,
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
        let (end, made) = self.windows.entry(token.to_owned()).or_insert((0.0, 0));
        if *end <= now {
            (*end, *made) = (now + f64::from(rate.seconds), 0);
        }
        *made = made.saturating_add(1);
        let remaining = limit.saturating_sub(*made);
        Standing {
            limit,
            remaining,
            reset: end.ceil(),
            wait: clock.ours(*end - now).ceil(),
            exceeded: *made > limit,
        }
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
