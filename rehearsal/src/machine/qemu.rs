//! QEMU's command line.

use std::path::Path;

use super::disk::Disks;
use super::{Accelerator, Spec};
use crate::network::{MAC, TAP};

/// The emulator.
pub(super) const PROGRAM: &str = "qemu-system-x86_64";

/// Arguments for a machine whose files lie in `folder`.
pub(super) fn arguments(folder: &Path, spec: &Spec, disks: &Disks) -> Vec<String> {
    let dmi = &spec.entry.profile.boot.dmi;
    let file = |name: &str| folder.join(name).display().to_string();
    let mut arguments: Vec<String> = Vec::new();
    let mut add = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    add("-machine", "q35".into());
    match spec.accelerator {
        Accelerator::Kvm => {
            add("-accel", "kvm".into());
            add("-cpu", "host".into());
        }
        // qemu64 needs no page-table isolation, which costs a third of the boot under emulation. QEMU 7.2 leaves wrong flags
        // behind cmpxchg16b, and a kernel that is interrupted just there panics: docs/decisions.md.
        Accelerator::Emulation => {
            add("-accel", "tcg,thread=multi".into());
            add("-cpu", "qemu64,-cx16".into());
        }
    }
    add("-smp", spec.cpus.to_string());
    add("-m", spec.memory.to_string());
    // A machine that fills its disk with zeros shall not fill this one's.
    let root = format!("file={},if=virtio,format=qcow2,cache=unsafe", quote(&disks.root));
    add("-drive", format!("{root},discard=unmap,detect-zeroes=unmap"));
    if let Some(iso) = &disks.config_drive {
        add("-drive", format!("file={},if=virtio,format=raw,readonly=on", quote(iso)));
    }
    add("-netdev", format!("tap,id=net0,ifname={TAP},script=no,downscript=no"));
    add("-device", format!("virtio-net-pci,netdev=net0,mac={MAC},romfile="));
    add("-device", "virtio-rng-pci".into());
    let (vendor, product) = (comma(&dmi.manufacturer), comma(&dmi.product));
    let serial = comma(&spec.setting.instance.instance_id);
    add("-smbios", format!("type=1,manufacturer={vendor},product={product},serial={serial}"));
    if let Some(tag) = &dmi.asset_tag {
        add("-smbios", format!("type=3,asset={}", comma(tag)));
    }
    add("-chardev", format!("file,id=console,path={},append=on", comma(&file("console.log"))));
    add("-serial", "chardev:console".into());
    add("-qmp", format!("unix:{},server=on,wait=off", comma(&file("qmp"))));
    add("-display", "none".into());
    arguments
}

fn quote(path: &Path) -> String {
    comma(&path.display().to_string())
}

/// A comma ends a value in QEMU's option lists; two stand for one.
fn comma(value: &str) -> String {
    value.replace(',', ",,")
}
