//! try
use std::time::*;
use echora_rehearsal::{cache::Cache,tools,images};
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let t = Instant::now();
    let cache = Cache::user()?;
    let root = std::path::Path::new(".");
    let caddy = tools::obtain(&cache, root, "caddy").await?;
    println!("{caddy:?} {:?}", t.elapsed());
    let images = images::build_all(&cache, std::path::Path::new("target/x86_64-unknown-linux-musl/release/echora"), &caddy).await?;
    println!("{images:?} {:?}", t.elapsed());
    let packer = tools::obtain(&cache, root, "packer").await?;
    println!("{packer:?} {:?}", t.elapsed());
    Ok(())
}
