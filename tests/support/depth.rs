//! Which providers can be rehearsed with their own plugin here.

use std::fs;

use echora_rehearsal::cache::Cache;
use echora_rehearsal::depth::Depth;
use echora_rehearsal::tools;
use provider_profiles::{Catalog, Entry};

use super::root;

/// Every provider whose own plugin can be had and whose API is described; the others are named with the reason.
pub(crate) async fn with_plugin() -> Vec<String> {
    let mut found = Vec::new();
    for entry in Catalog::embedded().unwrap().iter() {
        if has_plugin(entry).await {
            found.push(entry.profile.id.clone());
        }
    }
    assert!(!found.is_empty(), "the plugin of no provider can be had");
    found
}

/// The first of them.
pub(crate) async fn first_with_plugin() -> String {
    for entry in Catalog::embedded().unwrap().iter() {
        if has_plugin(entry).await {
            return entry.profile.id.clone();
        }
    }
    panic!("the plugin of no provider can be had");
}

async fn has_plugin(entry: &Entry) -> bool {
    let id = &entry.profile.id;
    let cache = Cache::user().unwrap();
    let packer = tools::obtain(&cache, root(), "packer").await.unwrap();
    let requirement = root().join(format!("packer/generated/{id}/plugins.pkr.hcl"));
    let requirement = fs::read_to_string(requirement).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    match Depth::greatest(entry, &cache, root(), &packer, &requirement, scratch.path()).await.unwrap() {
        Depth::Api(real) => println!("{id}: plugin {} ({})", real.plugin.version, real.plugin.how),
        Depth::Machine(why) => {
            println!("{id}: not tried with its plugin: {why}");
            return false;
        }
    }
    true
}
