//! A machine as far as the provisioners see one: a root folder, stub commands, and a Docker made of text files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Commands of the test's own system that change nothing outside the files they are given.
const TOOLS: [&str; 26] = [
    "awk", "cat", "chmod", "cksum", "cp", "cut", "dirname", "find", "grep", "head", "install", "mkdir",
    "mktemp", "printf", "python3", "rm", "sed", "sleep", "sort", "stat", "timeout", "tr", "uname", "xargs",
    "ln", "ls",
];
/// Commands that are only noted down.
const RECORDED: [&str; 5] = ["apt-get", "fstrim", "journalctl", "swapoff", "sync"];

const FOLDERS: [(&str, u32); 12] = [
    ("/tmp", 0o1777),
    ("/var/tmp", 0o1777),
    ("/var/log/apt", 0o755),
    ("/var/lib/systemd", 0o755),
    ("/var/lib/apt/lists/partial", 0o755),
    ("/var/cache/apt/archives/partial", 0o755),
    ("/var/lib/docker", 0o710),
    ("/opt/echora/frontend", 0o755),
    ("/opt/echora/backups", 0o700),
    ("/var/lib/echora", 0o700),
    ("/root/.ssh", 0o700),
    ("/home/debian/.ssh", 0o700),
];
const FILES: [(&str, u32, &str); 24] = [
    (
        "/etc/passwd",
        0o644,
        "root:x:0:0:root:/root:/bin/bash\nwww:x:33:33::/var/www:/bin/false\ndebian:x:1000:1000::/home/debian:/bin/sh\n",
    ),
    (
        "/etc/shadow",
        0o640,
        "root:*:20000:0:99999:7:::\nwww:*:20000:0:99999:7:::\ndebian:*:20000:0:99999:7:::\n",
    ),
    ("/etc/machine-id", 0o444, ""),
    ("/etc/hostname", 0o644, "localhost\n"),
    ("/etc/hosts", 0o644, "127.0.0.1 localhost\n::1 localhost\n"),
    ("/etc/fstab", 0o644, "LABEL=root / ext4 defaults 0 1\n"),
    ("/etc/iscsi/initiatorname.iscsi", 0o600, "GenerateName=yes\n"),
    ("/etc/ufw/ufw.conf", 0o644, "ENABLED=yes\n"),
    ("/etc/ufw/before.rules", 0o640, "*filter\nCOMMIT\n# BEGIN echora\n# END echora\n"),
    ("/etc/ufw/before6.rules", 0o640, "*filter\nCOMMIT\n# BEGIN echora\n# END echora\n"),
    ("/etc/ufw/after.rules", 0o640, "*filter\nCOMMIT\n# BEGIN echora\n# END echora\n"),
    ("/etc/ufw/after6.rules", 0o640, "*filter\nCOMMIT\n# BEGIN echora\n# END echora\n"),
    ("/etc/sysctl.d/50-echora-ports.conf", 0o644, "net.ipv4.ip_unprivileged_port_start = 80\n"),
    ("/etc/apt/apt.conf.d/20auto-upgrades", 0o644, "APT::Periodic::Unattended-Upgrade \"1\";\n"),
    ("/boot/grub/grub.cfg", 0o644, "\tlinux /boot/vmlinuz root=LABEL=root ro hosted\n"),
    ("/usr/local/bin/echora-firstboot", 0o755, "#!/bin/sh\n"),
    ("/var/lib/cloud/scripts/per-instance/001_onboot", 0o755, "#!/bin/sh\n"),
    ("/etc/update-motd.d/90-echora", 0o755, "#!/bin/sh\n"),
    ("/etc/systemd/system/echora-firstboot.service", 0o644, "[Unit]\n"),
    ("/etc/systemd/system/echora-climb.service", 0o644, "[Unit]\n"),
    ("/etc/echora/provider.toml", 0o644, "id = \"example\"\n"),
    (
        "/opt/echora/compose.yaml",
        0o644,
        "services:\n  a:\n    image: echora/a:installed\n  b:\n    image: 'echora/b:installed'\n",
    ),
    ("/opt/echora/Caddyfile", 0o644, ""),
    ("/root/.bashrc", 0o644, "# of the distribution\n"),
];
const UNITS: [&str; 4] =
    ["echora-firstboot.service", "echora-climb.service", "echora-ssh-host-keys.service", "docker.service"];
/// Names that the guest binary goes by.
pub(crate) const NAMES: [&str; 2] = ["echora-doctor", "echora-domain"];

/// A temporary machine.
pub(crate) struct Machine {
    folder: TempDir,
}

/// How a script ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Machine {
    /// A machine that keeps every promise of a finished image.
    pub(crate) fn clean() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        machine.link_commands();
        for (path, mode) in FOLDERS {
            fs::create_dir_all(machine.root(path)).unwrap();
            set_mode(&machine.root(path), mode);
        }
        for (path, mode, text) in FILES {
            machine.write(path, text);
            set_mode(&machine.root(path), mode);
        }
        for name in NAMES {
            symlink("echora-firstboot", machine.root("/usr/local/bin").join(name)).unwrap();
        }
        for unit in UNITS {
            machine.write(&format!("/etc/systemd/system/multi-user.target.wants/{unit}"), "");
        }
        for (list, text) in [
            ("containers", ""),
            ("volumes", ""),
            ("networks", ""),
            ("images", "echora/a:installed\nechora/b:installed\n"),
        ] {
            machine.state(&format!("docker/{list}"), text);
        }
        machine.state("packages", "installed sh 1.0\nconfig-files old 2.0\n");
        machine.state("cloud-init", "0");
        machine.state("calls", "");
        machine
    }

    fn link_commands(&self) {
        let bin = self.folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        for tool in TOOLS {
            let real = ["/usr/bin", "/bin"]
                .iter()
                .map(|folder| Path::new(folder).join(tool))
                .find(|path| path.exists());
            symlink(real.unwrap_or_else(|| panic!("this system has no {tool}")), bin.join(tool)).unwrap();
        }
        for name in RECORDED {
            fs::write(
                bin.join(name),
                format!("#!/bin/sh\nprintf '{name} %s\\n' \"$*\" >>\"$STATE/calls\"\n"),
            )
            .unwrap();
            set_mode(&bin.join(name), 0o755);
        }
        for stub in fs::read_dir(checkout("tests/provisioners/stubs")).unwrap() {
            let stub = stub.unwrap();
            fs::copy(stub.path(), bin.join(stub.file_name())).unwrap();
            set_mode(&bin.join(stub.file_name()), 0o755);
        }
    }

    /// Where a path of the machine lies.
    pub(crate) fn root(&self, path: &str) -> PathBuf {
        self.folder.path().join("root").join(path.trim_start_matches('/'))
    }

    /// Writes a file of the machine.
    pub(crate) fn write(&self, path: &str, text: &str) {
        write(&self.root(path), text);
    }

    /// Adds to a file of the machine.
    pub(crate) fn append(&self, path: &str, text: &str) {
        let old = fs::read_to_string(self.root(path)).unwrap();
        self.write(path, &(old + text));
    }

    /// Sets what the stubs know.
    pub(crate) fn state(&self, name: &str, text: &str) {
        write(&self.folder.path().join("state").join(name), text);
    }

    /// What the stubs know or noted down.
    pub(crate) fn read_state(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join("state").join(name)).unwrap_or_default()
    }

    /// The folder that Packer would have uploaded.
    pub(crate) fn payload(&self) -> PathBuf {
        self.folder.path().join("payload")
    }

    /// Runs a provisioner of the checkout.
    pub(crate) fn run(&self, script: &str) -> Run {
        self.run_with(script, &[])
    }

    /// Runs a provisioner with more in its environment.
    pub(crate) fn run_with(&self, script: &str, environment: &[(&str, &str)]) -> Run {
        self.run_file(&checkout("packer/scripts").join(script), environment)
    }

    /// Runs a script from where it lies.
    pub(crate) fn run_file(&self, script: &Path, environment: &[(&str, &str)]) -> Run {
        let run = Command::new("/bin/sh")
            .arg(script)
            .env_clear()
            .env("PATH", self.folder.path().join("bin"))
            .env("STATE", self.folder.path().join("state"))
            .env("TMPDIR", self.folder.path())
            .env("LC_ALL", "C")
            .env("ECHORA_ROOT", self.folder.path().join("root"))
            .env("ECHORA_PAYLOAD", self.payload())
            .env("ECHORA_KERNEL_ARGUMENTS", "hosted")
            .env("ECHORA_PURGE_PACKAGES", "host-agent*")
            .env("ECHORA_REMOVE_PATHS", "/opt/host-agent /etc/host-agent.*")
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Run { code: run.status.code(), out: text(run.stdout), err: text(run.stderr) }
    }
}

/// A path of this checkout.
pub(crate) fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Writes a file and the folders above it.
pub(crate) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let _ = fs::remove_file(path);
    fs::write(path, text).unwrap();
}

/// Sets the permission bits.
pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The permission bits.
pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode()
        & 0o7777
}
