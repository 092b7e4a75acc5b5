//! Virtual machines of buyers, from the shared snapshot.

use std::collections::BTreeMap;
use std::time::Duration;

use echora_rehearsal::base;
use echora_rehearsal::cache::Cache;
use echora_rehearsal::cloud::{Buyer, Rented};
use echora_rehearsal::machine::Accelerator;

use super::snapshot::{Built, shared};

const ASK: Duration = Duration::from_secs(120);

/// A machine of so many processors and MiB of memory, just powered on.
pub(crate) async fn boot(cpus: u32, memory: u32) -> Buyer {
    let Built { entry, disk, .. } = shared().await;
    let accelerator = accelerator().await;
    let settings = BTreeMap::new();
    Buyer::boot(&Rented { entry, disk, accelerator, settings: &settings, cpus, memory }).await.unwrap()
}

/// What runs machines here.
pub(crate) async fn accelerator() -> Accelerator {
    let cache = Cache::user().unwrap();
    let kept = base::debian(&cache).await.unwrap();
    Accelerator::detect(&cache, &kept.path.join(base::DISK)).await.unwrap()
}

/// What `script` prints on it.
pub(crate) async fn inside(buyer: &Buyer, script: &str) -> String {
    buyer.key.ssh(&buyer.network, script, ASK).await.unwrap()
}
