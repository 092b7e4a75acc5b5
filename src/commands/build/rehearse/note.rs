//! What is said of a rehearsal's depth, on the screen and in the record.

use echora_rehearsal::depth::Depth;
use provider_profiles::Entry;

use crate::record;

/// A depth in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) depth: record::Depth,
    pub(super) text: String,
    /// Which plugin took part.
    pub(super) plugin: String,
}

impl Note {
    pub(super) fn of(depth: &Depth, entry: &Entry) -> Self {
        let source = &entry.profile.packer.plugin.source;
        match depth {
            Depth::Api(real) => Self {
                depth: record::Depth::Api,
                text: format!(
                    "depth api: real are Packer, the plugin {source} {} and the generated template; the API is played, \
                     the machine is local",
                    real.plugin.version
                ),
                plugin: format!("{source} {} ({})", real.plugin.version, real.plugin.how),
            },
            Depth::Machine(why) => Self {
                depth: record::Depth::Machine,
                text: format!(
                    "depth machine: Packer's null builder stands for the source block, no API of the provider takes \
                     part: {why}"
                ),
                plugin: format!("none: {source} took no part"),
            },
        }
    }
}
