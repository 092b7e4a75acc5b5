//! The docker-archive format: one layer, its configuration, a manifest. Equal content gives equal bytes.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Archive, Builder, EntryType, Header};

use crate::cache::hex_sha256;

const LAYER: &str = "layer.tar";

/// How a container of the image is run.
#[derive(Debug)]
pub(super) struct Config<'a> {
    pub(super) env: &'a [&'a str],
    pub(super) entrypoint: &'a [&'a str],
    pub(super) command: &'a [&'a str],
    pub(super) folder: &'a str,
    pub(super) volumes: &'a [&'a str],
    pub(super) stop_signal: Option<&'a str>,
}

/// Writes `tree` as an image and returns its id.
pub(super) fn write(tree: &Path, config: &Config, tag: &str, to: &Path) -> Result<String> {
    let layer = tempfile::NamedTempFile::new_in(to.parent().unwrap_or(tree))
        .context("cannot make a temporary file")?;
    let mut hashing =
        Hashing { file: File::create(layer.path()).context("cannot write the layer")?, hash: Sha256::new() };
    let mut builder = Builder::new(&mut hashing);
    builder.follow_symlinks(false);
    append(&mut builder, tree, tree)?;
    builder.finish().context("cannot end the layer")?;
    drop(builder);
    let layer_id = format!("{:x}", hashing.hash.finalize());

    let volumes: serde_json::Map<_, _> =
        config.volumes.iter().map(|v| ((*v).to_owned(), json!({}))).collect();
    let image = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {
            "Env": config.env,
            "Entrypoint": config.entrypoint,
            "Cmd": config.command,
            "WorkingDir": config.folder,
            "Volumes": volumes,
            "StopSignal": config.stop_signal,
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_id}")]},
        "history": [{"created_by": "echora-images"}],
    });
    let image = serde_json::to_vec(&image).context("cannot write the image's configuration")?;
    let id = hex_sha256(&image);
    let manifest = json!([{"Config": format!("{id}.json"), "RepoTags": [tag], "Layers": [LAYER]}]);

    let mut out = Builder::new(File::create(to).with_context(|| format!("cannot write {}", to.display()))?);
    let mut text = |name: &str, bytes: &[u8]| {
        let mut header = plain_header(EntryType::Regular, 0o644);
        header.set_size(bytes.len() as u64);
        out.append_data(&mut header, name, bytes).context("cannot write the image")
    };
    text(&format!("{id}.json"), &image)?;
    text("manifest.json", manifest.to_string().as_bytes())?;
    let mut header = plain_header(EntryType::Regular, 0o644);
    header.set_size(fs::metadata(layer.path()).context("cannot size the layer")?.len());
    out.append_data(&mut header, LAYER, File::open(layer.path()).context("cannot read the layer")?)
        .context("cannot write the image")?;
    out.finish().context("cannot end the image")?;
    Ok(format!("sha256:{id}"))
}

/// The id of the image in an archive, after the name of its configuration.
pub(super) fn id_of(archive: &Path) -> Result<String> {
    let config = config_of(archive)?;
    let digest = config.trim_start_matches("blobs/sha256/").trim_end_matches(".json");
    Ok(format!("sha256:{digest}"))
}

/// The processor that the image in an archive is for, by its name in images: `amd64`, `arm64`.
pub(super) fn architecture_of(archive: &Path) -> Result<String> {
    let config = json_in(archive, &config_of(archive)?)?;
    Ok(config["architecture"]
        .as_str()
        .context("the image does not say which processor it is for")?
        .to_owned())
}

/// The name of the configuration in an archive.
fn config_of(archive: &Path) -> Result<String> {
    let manifest = json_in(archive, "manifest.json").context("it is not what `docker save` writes")?;
    let config = manifest[0]["Config"].as_str().context("the image's manifest names no configuration")?;
    Ok(config.to_owned())
}

/// A document in an archive.
fn json_in(archive: &Path, name: &str) -> Result<serde_json::Value> {
    let file = File::open(archive).with_context(|| format!("cannot read {}", archive.display()))?;
    for entry in Archive::new(file).entries().context("the image is no tar file")? {
        let mut entry = entry.context("the image is damaged")?;
        if entry.path().context("the image is damaged")?.as_os_str() == name {
            let mut text = String::new();
            entry.read_to_string(&mut text).with_context(|| format!("{name} in the image is damaged"))?;
            return serde_json::from_str(&text).with_context(|| format!("{name} in the image is damaged"));
        }
    }
    anyhow::bail!("{} has no {name}", archive.display())
}

/// Unpacks the layer of an image.
pub(super) fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    let file = File::open(archive).with_context(|| format!("cannot read {}", archive.display()))?;
    for entry in Archive::new(file).entries().context("the image is no tar file")? {
        let entry = entry.context("the image is damaged")?;
        if entry.path().context("the image is damaged")?.as_os_str() == LAYER {
            let mut layer = Archive::new(entry);
            layer.set_preserve_permissions(true);
            layer.set_preserve_ownerships(true);
            layer
                .unpack(folder)
                .with_context(|| format!("cannot unpack the image to {}", folder.display()))?;
        }
    }
    Ok(())
}

/// Adds what lies in `folder` in the order of names, without times.
fn append<W: Write>(builder: &mut Builder<W>, tree: &Path, folder: &Path) -> Result<()> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        paths.push(entry.context("cannot list a folder of the image")?.path());
    }
    paths.sort();
    for path in paths {
        let about =
            fs::symlink_metadata(&path).with_context(|| format!("cannot look at {}", path.display()))?;
        let name = path.strip_prefix(tree).unwrap_or(&path);
        let mut header = Header::new_gnu();
        header.set_metadata(&about);
        header.set_mtime(0);
        let added = if about.is_symlink() {
            header.set_size(0);
            builder.append_link(
                &mut header,
                name,
                fs::read_link(&path).context("cannot read a link of the image")?,
            )
        } else if about.is_dir() {
            header.set_size(0);
            builder.append_data(&mut header, name, std::io::empty())
        } else if about.is_file() {
            builder.append_data(
                &mut header,
                name,
                File::open(&path).context("cannot read a file of the image")?.take(about.len()),
            )
        } else {
            continue;
        };
        added.with_context(|| format!("cannot add {}", name.display()))?;
        if about.is_dir() {
            append(builder, tree, &path)?;
        }
    }
    Ok(())
}

fn plain_header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(0);
    header
}

/// Hashes what it writes.
struct Hashing {
    file: File,
    hash: Sha256,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: Config = Config {
        env: &["A=b"],
        entrypoint: &[],
        command: &["x"],
        folder: "/",
        volumes: &[],
        stop_signal: None,
    };

    #[test]
    fn equal_content_has_an_equal_id_and_comes_back() {
        let work = tempfile::tempdir().unwrap();
        let tree = |name: &str, content: &str| {
            let tree = work.path().join(name);
            fs::create_dir_all(tree.join("etc")).unwrap();
            fs::write(tree.join("etc/file"), content).unwrap();
            std::os::unix::fs::symlink("file", tree.join("etc/link")).unwrap();
            write(&tree, &CONFIG, "a:b", &work.path().join(format!("{name}.tar"))).unwrap()
        };
        let one = tree("one", "same");
        assert_eq!(one, tree("two", "same"));
        assert_ne!(one, tree("three", "other"));
        let archive = work.path().join("one.tar");
        let here = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        assert_eq!((id_of(&archive).unwrap(), architecture_of(&archive).unwrap()), (one, here.to_owned()));
        let out = work.path().join("out");
        unpack(&work.path().join("one.tar"), &out).unwrap();
        assert_eq!(fs::read_to_string(out.join("etc/link")).unwrap(), "same");
    }
}
