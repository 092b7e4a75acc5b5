//! `clean-cache`: empties what rehearsals keep.

use anyhow::Result;
use echora_rehearsal::cache::Cache;

/// Removes all kept base disks, tools, packages and container images.
pub fn clean() -> Result<()> {
    Cache::user()?.clear()
}
