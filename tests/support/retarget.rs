//! The shared snapshot as another provider's image. What differs between the images of one base is the guest's plan and the
//! kernel's arguments; an image of its own for each provider would cost ten minutes each.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use echora_rehearsal::base::PARTITION_OFFSET;
use echora_rehearsal::process::run;
use provider_profiles::Entry;
use tokio::process::Command;

use super::root;
use super::snapshot::Built;

const DEADLINE: Duration = Duration::from_secs(300);
const GRUB: &str = "/boot/grub/grub.cfg";
const PLAN: &str = "/etc/echora/provider.toml";

/// A disk in `folder` for `entry`'s machines.
pub(crate) async fn retarget(built: &Built, entry: &Entry, folder: &Path) -> PathBuf {
    let disk = folder.join("retargeted.raw");
    let mut convert = Command::new("qemu-img");
    convert.args(["convert", "-O", "raw"]).args([&built.disk, &disk]);
    run(&mut convert, "qemu-img convert", DEADLINE).await.unwrap();

    let menu = folder.join("grub.cfg");
    debugfs(&disk, folder, &format!("dump {GRUB} {}\n", menu.display())).await;
    let text = fs::read_to_string(&menu).unwrap();
    assert!(text.lines().any(is_kernel), "the menu starts no kernel");
    fs::write(
        &menu,
        with_arguments(
            &text,
            &built.entry.profile.cleanup.kernel_arguments,
            &entry.profile.cleanup.kernel_arguments,
        ),
    )
    .unwrap();
    let plan = root().join("packer/generated").join(&entry.profile.id).join("provider.toml");
    let lay =
        format!("rm {GRUB}\nwrite {} {GRUB}\nrm {PLAN}\nwrite {} {PLAN}\n", menu.display(), plan.display());
    debugfs(&disk, folder, &lay).await;
    let laid = folder.join("laid");
    debugfs(&disk, folder, &format!("dump {PLAN} {}\n", laid.display())).await;
    assert_eq!(fs::read_to_string(laid).unwrap(), fs::read_to_string(plan).unwrap());
    disk
}

/// A boot menu whose kernels have some arguments in place of others.
fn with_arguments(menu: &str, without: &[String], with: &[String]) -> String {
    let line = |line: &str| {
        if !is_kernel(line) {
            return format!("{line}\n");
        }
        let kept = line.split(' ').filter(|word| !without.iter().any(|argument| argument == word));
        kept.chain(with.iter().map(String::as_str)).collect::<Vec<_>>().join(" ") + "\n"
    };
    menu.lines().map(line).collect()
}

fn is_kernel(line: &str) -> bool {
    line.trim_start().starts_with("linux")
}

/// What debugfs writes belongs to root and can be read by all.
async fn debugfs(disk: &Path, folder: &Path, commands: &str) {
    let script = folder.join("debugfs");
    fs::write(&script, commands).unwrap();
    let mut command = Command::new("debugfs");
    command.arg("-w").arg("-f").arg(&script).arg(format!("{}?offset={PARTITION_OFFSET}", disk.display()));
    run(&mut command, "debugfs", DEADLINE).await.unwrap();
}
