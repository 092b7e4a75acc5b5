//! Virtual machines of buyers, from a snapshot.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use echora_rehearsal::base;
use echora_rehearsal::cache::Cache;
use echora_rehearsal::cloud::{Buyer, Rented};
use echora_rehearsal::machine::Accelerator;
use provider_profiles::Catalog;

use super::default_provider;

const ASK: Duration = Duration::from_secs(120);

/// A machine of so many processors and MiB of memory, just powered on.
pub(crate) async fn boot(disk: &Path, cpus: u32, memory: u32) -> Buyer {
    let (cache, catalog) = (Cache::user().unwrap(), Catalog::embedded().unwrap());
    let kept = base::debian(&cache).await.unwrap();
    let accelerator = Accelerator::detect(&cache, &kept.path.join(base::DISK)).await.unwrap();
    let entry = catalog.find(&default_provider()).unwrap();
    let settings = BTreeMap::new();
    Buyer::boot(&Rented { entry, disk, accelerator, settings: &settings, cpus, memory }).await.unwrap()
}

/// What `script` prints on it.
pub(crate) async fn inside(buyer: &Buyer, script: &str) -> String {
    buyer.key.ssh(&buyer.network, script, ASK).await.unwrap()
}
