//! A description in several files: what a provider has most of gets a file of its own, `simulators/<id>/<part>.toml`.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde::Deserialize;

use super::{Call, ErrorReply, Kind, Simulator};
use crate::profile::Doc;

/// What such a file may have; nothing in it may stand elsewhere, too.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    #[serde(default)]
    provenance: Vec<Doc>,
    #[serde(default)]
    errors: BTreeMap<String, ErrorReply>,
    #[serde(default)]
    kinds: BTreeMap<String, Kind>,
    #[serde(default)]
    calls: Vec<Call>,
}

impl Simulator {
    /// Takes a part in.
    pub(crate) fn add(&mut self, part: Part) -> Result<()> {
        for (name, error) in part.errors {
            ensure!(self.errors.insert(name.clone(), error).is_none(), "the error {name} is described twice");
        }
        for (name, kind) in part.kinds {
            ensure!(self.kinds.insert(name.clone(), kind).is_none(), "the kind {name} is described twice");
        }
        self.provenance.extend(part.provenance);
        self.calls.extend(part.calls);
        Ok(())
    }
}
