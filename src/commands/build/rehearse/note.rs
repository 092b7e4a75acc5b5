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

#[cfg(test)]
mod tests {
    use provider_profiles::Catalog;

    use super::*;

    #[test]
    fn a_fall_back_names_its_depth_and_its_reason() {
        let catalog = Catalog::embedded().unwrap();
        let entry = catalog.iter().next().unwrap();
        let note = Note::of(&Depth::Machine("the plugin is nowhere".into()), entry);
        assert_eq!(note.depth, record::Depth::Machine);
        assert!(note.text.starts_with("depth machine: ") && note.text.ends_with(": the plugin is nowhere"));
        assert!(
            note.plugin.starts_with("none: ") && note.plugin.contains(&entry.profile.packer.plugin.source)
        );
    }
}
