//! What goes wrong on demand.

use std::time::Duration;

use provider_profiles::Call;
use serde::Deserialize;

/// The calls that a fault is about.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calls {
    /// HTTP method; any without.
    #[serde(default)]
    pub method: Option<String>,
    /// How the path begins.
    #[serde(default)]
    pub path: String,
    /// How many of them go well before.
    #[serde(default)]
    pub after: u32,
    /// How many it hits.
    #[serde(default = "once")]
    pub times: u32,
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// Calls are answered with an error of the description and not carried out.
    Error {
        /// The error's name.
        error: String,
        /// Which.
        calls: Calls,
    },
    /// Calls are carried out, and the connection is cut in the middle of the reply.
    Cut {
        /// Which.
        calls: Calls,
    },
    /// Calls are answered late.
    Slow {
        /// Which.
        calls: Calls,
        /// How late, in milliseconds of our time.
        milliseconds: u64,
    },
    /// All resources of a kind are gone before a call is carried out.
    Vanish {
        /// The kind.
        kind: String,
        /// Which.
        calls: Calls,
    },
    /// Something under way ends badly, once.
    Fails {
        /// Its name in the description.
        what: String,
    },
    /// Something under way never ends.
    Never {
        /// Its name in the description.
        what: String,
    },
    /// Something under way takes longer.
    Longer {
        /// Its name in the description.
        what: String,
        /// How many times as long.
        factor: f64,
    },
}

/// What the faults make of one call.
#[derive(Debug, Default)]
pub(super) struct Struck {
    pub(super) error: Option<String>,
    pub(super) cut: bool,
    pub(super) late: Duration,
    pub(super) vanish: Vec<String>,
}

/// What the faults make of something under way.
#[derive(Debug)]
pub(super) struct Fate {
    pub(super) factor: f64,
    pub(super) fails: bool,
}

/// The faults that are to come.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What becomes of a call.
    pub(super) fn strike(&mut self, method: &str, path: &str) -> Struck {
        let mut struck = Struck::default();
        for fault in &mut self.0 {
            if !fault.calls().is_some_and(|calls| calls.hit(method, path)) {
                continue;
            }
            match fault {
                Fault::Error { error, .. } => struck.error = Some(error.clone()),
                Fault::Cut { .. } => struck.cut = true,
                Fault::Slow { milliseconds, .. } => struck.late = Duration::from_millis(*milliseconds),
                Fault::Vanish { kind, .. } => struck.vanish.push(kind.clone()),
                Fault::Fails { .. } | Fault::Never { .. } | Fault::Longer { .. } => {}
            }
        }
        struck
    }

    /// What becomes of something that goes on.
    pub(super) fn fate(&mut self, name: &str) -> Fate {
        let mut fate = Fate { factor: 1.0, fails: false };
        self.0.retain(|fault| match fault {
            Fault::Fails { what } if what == name && !fate.fails => {
                fate.fails = true;
                false
            }
            Fault::Never { what } if what == name => {
                fate.factor = f64::INFINITY;
                true
            }
            Fault::Longer { what, factor } if what == name => {
                fate.factor *= factor;
                true
            }
            _ => true,
        });
        fate
    }
}

impl Fault {
    fn calls(&mut self) -> Option<&mut Calls> {
        match self {
            Self::Error { calls, .. }
            | Self::Cut { calls }
            | Self::Slow { calls, .. }
            | Self::Vanish { calls, .. } => Some(calls),
            Self::Fails { .. } | Self::Never { .. } | Self::Longer { .. } => None,
        }
    }

    /// Why this fault cannot be, with these names of errors, kinds and things that go on.
    pub(super) fn problem(
        &self,
        is_error: impl Fn(&str) -> bool,
        is_kind: impl Fn(&str) -> bool,
        goes_on: impl Fn(&str) -> bool,
    ) -> Option<String> {
        match self {
            Self::Error { error, .. } if !is_error(error) => Some(format!("there is no error {error}")),
            Self::Vanish { kind, .. } if !is_kind(kind) => Some(format!("there is no kind {kind}")),
            Self::Fails { what } | Self::Never { what } | Self::Longer { what, .. } if !goes_on(what) => {
                Some(format!("nothing called {what} goes on"))
            }
            _ => None,
        }
    }
}

impl Calls {
    fn hit(&mut self, method: &str, path: &str) -> bool {
        let meant = self.method.as_deref().is_none_or(|m| m == method) && path.starts_with(&self.path);
        if !meant || self.times == 0 {
            return false;
        }
        if self.after > 0 {
            self.after -= 1;
            return false;
        }
        self.times -= 1;
        true
    }
}

fn once() -> u32 {
    1
}

/// The names of what goes on after `call`.
pub(super) fn going_on(call: &Call) -> Vec<&str> {
    fn walk<'a>(steps: &'a [provider_profiles::Step], names: &mut Vec<&'a str>) {
        for step in steps {
            names.extend(step.later.as_deref());
            walk(&step.steps, names);
            walk(&step.failing, names);
        }
    }
    let mut names = Vec::new();
    walk(&call.steps, &mut names);
    names
}
