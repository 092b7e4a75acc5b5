//! The base disk of a rehearsal: Debian 13 as a provider's cloud image has it, made from Debian's packages.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::cache::{Cache, Kept, Key};
use crate::process::run;

/// Name of the disk in its cache entry.
pub const DISK: &str = "disk.qcow2";
/// What the record calls it.
pub const RELEASE: &str = "debian-13";

const SUITE: &str = "trixie";
const PACKAGES: &str = include_str!("../base/packages");
const CUSTOMIZE: &str = include_str!("../base/customize.sh");
const ROOT_LABEL: &str = "echora-root";
/// Where the only partition begins, in bytes: the usual gap of 1 MiB holds GRUB.
pub const PARTITION_OFFSET: u64 = 1 << 20;
const DISK_BYTES: u64 = 6 << 30;
const SECTOR: u64 = 512;
/// Code in the first sector; the partition table follows it.
const BOOT_CODE_BYTES: usize = 440;
/// GRUB's modules in the core image: enough to read the partition and its configuration.
const GRUB_MODULES: [&str; 9] =
    ["biosdisk", "part_msdos", "ext2", "normal", "linux", "search", "search_fs_uuid", "search_label", "echo"];

/// The base disk, from the cache or built now.
pub async fn debian(cache: &Cache) -> Result<Kept> {
    let key = Key::default()
        .text("suite", SUITE)
        .text("packages", PACKAGES)
        .text("customize", CUSTOMIZE)
        .text("disk", &DISK_BYTES.to_string());
    cache.keep("base", &key, build).await
}

async fn build(folder: &Path) -> Result<()> {
    let work = tempfile::tempdir_in(folder).context("cannot make a folder for the base disk")?;
    let tree = work.path().join("tree");
    let disk = work.path().join("disk.raw");
    unpack(&tree, work.path()).await?;
    partition(&disk).await?;
    file_system(&disk, &tree).await?;
    boot_loader(&disk, work.path()).await?;
    // Without the holes, which would cost time whenever the entry is checked.
    let mut command = Command::new("qemu-img");
    command.args(["convert", "-O", "qcow2"]).arg(&disk).arg(folder.join(DISK));
    run(&mut command, "qemu-img convert", Duration::from_secs(120)).await.map(drop)
}

/// The tree of files, by mmdebstrap.
async fn unpack(tree: &Path, work: &Path) -> Result<()> {
    let hook = work.join("customize.sh");
    fs::write(&hook, CUSTOMIZE).context("cannot write the customize hook")?;
    let include = PACKAGES.split_whitespace().collect::<Vec<_>>().join(",");
    let mut command = Command::new("mmdebstrap");
    command.args(["--variant=minbase", "--mode=root", "--skip=output/dev"]);
    command.arg(format!("--include={include}"));
    // grub-pc would ask for a disk to install itself on; the disk is made later.
    command.arg(r#"--essential-hook=echo "grub-pc grub-pc/install_devices_empty boolean true" | chroot "$1" debconf-set-selections"#);
    command.arg(format!("--customize-hook=sh {} \"$1\"", hook.display()));
    command.arg(SUITE).arg(tree).env("ROOT_LABEL", ROOT_LABEL);
    run(&mut command, "mmdebstrap", Duration::from_secs(900)).await.map(drop)
}

async fn partition(disk: &Path) -> Result<()> {
    let file = fs::File::create(disk).with_context(|| format!("cannot write {}", disk.display()))?;
    file.set_len(DISK_BYTES).context("cannot size the base disk")?;
    let table = format!("label: dos\nstart={}, type=83, bootable\n", PARTITION_OFFSET / SECTOR);
    let script = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
    fs::write(script.path(), table).context("cannot write the partition table")?;
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec sfdisk --quiet "$1" <"$2""#, "sfdisk"]).arg(disk).arg(script.path());
    run(&mut command, "sfdisk", Duration::from_secs(30)).await.map(drop)
}

/// Features that GRUB 2.06 cannot read are left out: the disk may be made on a newer system than GRUB's.
async fn file_system(disk: &Path, tree: &Path) -> Result<()> {
    let mut command = Command::new("mkfs.ext4");
    command
        .args(["-q", "-F", "-L", ROOT_LABEL, "-O", "^metadata_csum_seed,^orphan_file"])
        .arg("-d")
        .arg(tree);
    command.arg("-E").arg(format!("offset={PARTITION_OFFSET}")).arg(disk);
    command.arg(format!("{}k", (DISK_BYTES - PARTITION_OFFSET) / 1024));
    run(&mut command, "mkfs.ext4", Duration::from_secs(300)).await.map(drop)
}

/// Writes GRUB into the gap before the partition, without a loop device or a mount.
async fn boot_loader(disk: &Path, work: &Path) -> Result<()> {
    const IMAGES: &str = "/usr/lib/grub/i386-pc";
    let core = work.join("core.img");
    let mut command = Command::new("grub-mkimage");
    command
        .args(["-O", "i386-pc", "-d", IMAGES, "-p", "(hd0,msdos1)/boot/grub"])
        .arg("-o")
        .arg(&core)
        .args(GRUB_MODULES);
    run(&mut command, "grub-mkimage", Duration::from_secs(60)).await?;
    let boot = fs::read(Path::new(IMAGES).join("boot.img"))
        .context("cannot read GRUB's boot.img (package grub-pc-bin)")?;
    let core = fs::read(&core).context("cannot read GRUB's core.img")?;
    anyhow::ensure!(
        (core.len() as u64) < PARTITION_OFFSET - SECTOR,
        "GRUB's core.img does not fit before the partition"
    );
    let mut file = OpenOptions::new().write(true).open(disk).context("cannot open the base disk")?;
    file.write_all(&boot[..BOOT_CODE_BYTES]).context("cannot write GRUB's first sector")?;
    file.seek(SeekFrom::Start(SECTOR)).context("cannot write GRUB")?;
    file.write_all(&core).context("cannot write GRUB")
}
