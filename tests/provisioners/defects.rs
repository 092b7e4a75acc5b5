//! What can be wrong with an image: each entry breaks one promise of a clean machine.

use std::fs;

use crate::machine::{Machine, set_mode};

/// Files that the clean-up has to remove, with what the last check says of each.
pub(crate) const LEFT_FILES: [(&str, &str); 52] = [
    ("SSH host key left", "/etc/ssh/ssh_host_ed25519_key"),
    ("SSH host key left", "/etc/ssh/ssh_host_rsa_key.pub"),
    ("D-Bus machine id left", "/var/lib/dbus/machine-id"),
    ("random seed left", "/var/lib/systemd/random-seed"),
    ("random seed left", "/boot/efi/loader/random-seed"),
    ("credential secret left", "/var/lib/systemd/credential.secret"),
    ("timer stamp left", "/var/lib/systemd/timers/stamp-apt-daily.timer"),
    ("core dump left", "/var/lib/systemd/coredump/core.app.1.zst"),
    ("DHCP state left", "/var/lib/dhcp/dhclient.eth0.leases"),
    ("network name rule left", "/etc/udev/rules.d/70-persistent-net.rules"),
    ("NVMe host id left", "/etc/nvme/hostnqn"),
    ("EFI variables left", "/boot/efi/NvVars"),
    ("shared TLS key left", "/etc/ssl/private/ssl-cert-snakeoil.key"),
    ("firmware history left", "/var/lib/fwupd/pending.db"),
    ("subscription token left", "/var/lib/ubuntu-advantage/private/machine-token.json"),
    ("cloud-init instance left", "/var/lib/cloud/instances/i-1"),
    ("cloud-init instance left", "/var/lib/cloud/data/previous-hostname"),
    ("cloud-init instance left", "/var/lib/cloud/sem/config_scripts_per_once.once"),
    ("network of the build machine left", "/etc/netplan/50-cloud-init.yaml"),
    ("network of the build machine left", "/etc/systemd/network/10-cloud-init-eth0.network"),
    ("sshd settings of the build machine left", "/etc/ssh/sshd_config.d/50-cloud-init.conf"),
    ("sudo rule of the build machine left", "/etc/sudoers.d/90-cloud-init-users"),
    ("package proxy left", "/etc/apt/apt.conf.d/00proxy"),
    ("package archive login left", "/etc/apt/auth.conf.d/private.conf"),
    ("password file backup left", "/etc/shadow-"),
    ("password file backup left", "/var/backups/passwd.bak"),
    ("journal left", "/var/log/journal/4711"),
    ("swap file left", "/swapfile"),
    ("Docker identity left", "/var/lib/docker/engine-id"),
    ("Docker identity left", "/etc/docker/key.json"),
    ("Docker identity left", "/var/lib/containerd/io.containerd.grpc.v1.introspection/uuid"),
    ("Docker swarm left", "/var/lib/docker/swarm/certificates"),
    ("secrets left", "/opt/echora/.env"),
    ("secrets left", "/etc/echora/config.toml"),
    ("secrets left", "/root/echora-credentials"),
    ("first boot state left", "/var/lib/echora/state.json"),
    ("first boot state left", "/var/lib/echora/.state.json.tmp"),
    ("backup left", "/opt/echora/backups/echora-2026-01-01.tar.gz"),
    ("override left", "/opt/echora/compose.override.yaml"),
    ("unwanted file left", "/opt/host-agent"),
    ("unwanted file left", "/etc/host-agent.conf"),
    ("log left", "/var/log/apt/term.log.1.gz"),
    ("package list left", "/var/lib/apt/lists/mirror_dists_Release"),
    ("package list stamp left", "/var/lib/apt/periodic/update-stamp"),
    ("downloaded package left", "/var/cache/apt/archives/docker.io.deb"),
    ("mail left", "/var/mail/root"),
    ("cron job left", "/var/spool/cron/crontabs/root"),
    ("temporary file left", "/tmp/echora-payload"),
    ("temporary file left", "/var/tmp/.hidden"),
    ("SSH file left", "/root/.ssh/authorized_keys"),
    ("history left", "/root/.bash_history"),
    ("settings of a person left", "/root/.docker"),
];

/// Files in homes other than root's: of a user, of a system account, of a user that is gone.
pub(crate) const LEFT_IN_HOMES: [(&str, &str); 6] = [
    ("SSH file left", "/home/debian/.ssh/id_ed25519"),
    ("SSH file left", "/var/www/.ssh/authorized_keys"),
    ("SSH file left", "/home/gone/.ssh/authorized_keys"),
    ("history left", "/home/debian/.python_history"),
    ("history left", "/home/debian/.lesshst"),
    ("settings of a person left", "/home/debian/.netrc"),
];

/// A change to the machine, and the line that names it.
pub(crate) type Defect = (&'static str, fn(&Machine));

/// Everything else that the clean-up has to put right.
pub(crate) const LEFT: [Defect; 10] = [
    ("machine id is not empty: /etc/machine-id", |m| {
        m.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
    }),
    ("host name of the build machine: /etc/hostname", |m| {
        m.write("/etc/hostname", "packer-1\n");
    }),
    ("host name of the build machine: /etc/hosts", |m| {
        m.append("/etc/hosts", "127.0.1.1 packer-1\n");
    }),
    ("iSCSI name left: /etc/iscsi/initiatorname.iscsi", |m| {
        m.write("/etc/iscsi/initiatorname.iscsi", "InitiatorName=iqn.a:1\n");
    }),
    ("swap file in fstab: /swap/file", |m| {
        m.append("/etc/fstab", "/swap/file none swap sw 0 0\n");
    }),
    ("password not locked: /etc/shadow (root)", |m| {
        m.write("/etc/shadow", "root:$y$j9T$x:20000:0:99999:7:::\n");
    }),
    ("password not locked: /etc/shadow (debian)", |m| {
        m.append("/etc/shadow", "debian:!*:20000:0:99999:7:::\n");
    }),
    ("container left: c0ffee", |m| {
        m.state("docker/containers", "c0ffee\n");
    }),
    ("volume left: pgdata", |m| m.state("docker/volumes", "pgdata\n")),
    ("network left: 0ddba11", |m| {
        m.state("docker/networks", "0ddba11\n");
    }),
];

/// What no clean-up can put right.
pub(crate) const MISSING: [Defect; 24] = [
    ("missing, or its mode is not 755: /var/lib/cloud/scripts/per-instance/001_onboot", |m| {
        fs::remove_dir_all(m.root("/var/lib/cloud/scripts")).unwrap();
    }),
    ("missing, or its mode is not 755: /usr/local/bin/echora-firstboot", |m| {
        set_mode(&m.root("/usr/local/bin/echora-firstboot"), 0o644);
    }),
    ("command missing: echora-doctor", |m| {
        remove(m, "/usr/local/bin/echora-doctor");
    }),
    ("missing, or its mode is not 755: /etc/update-motd.d/90-echora", |m| {
        remove(m, "/etc/update-motd.d/90-echora");
    }),
    ("missing, or its mode is not 644: /etc/systemd/system/echora-firstboot.service", |m| {
        remove(m, "/etc/systemd/system/echora-firstboot.service");
    }),
    ("missing, or its mode is not 644: /etc/systemd/system/echora-climb.service", |m| {
        remove(m, "/etc/systemd/system/echora-climb.service");
    }),
    ("command missing: echora-domain", |m| {
        remove(m, "/usr/local/bin/echora-domain");
    }),
    ("unit not enabled: echora-climb.service", |m| {
        disable(m, "echora-climb.service");
    }),
    ("missing, or its mode is not 644: /etc/echora/provider.toml", |m| {
        remove(m, "/etc/echora/provider.toml");
    }),
    ("missing, or its mode is not 644: /opt/echora/Caddyfile", |m| {
        remove(m, "/opt/echora/Caddyfile");
    }),
    ("missing, or its mode is not 755: /opt/echora/frontend", |m| {
        fs::remove_dir(m.root("/opt/echora/frontend")).unwrap();
    }),
    ("missing, or its mode is not 700: /var/lib/echora", |m| {
        set_mode(&m.root("/var/lib/echora"), 0o755);
    }),
    ("missing, or its mode is not 700: /opt/echora/backups", |m| {
        set_mode(&m.root("/opt/echora/backups"), 0o755);
    }),
    ("unit not enabled: echora-firstboot.service", |m| {
        disable(m, "echora-firstboot.service");
    }),
    ("unit not enabled: docker.service", |m| {
        disable(m, "docker.service");
    }),
    ("firewall is off: /etc/ufw/ufw.conf", |m| {
        m.write("/etc/ufw/ufw.conf", "ENABLED=no\n");
    }),
    ("rules are missing, or there twice: /etc/ufw/after.rules", |m| {
        m.write("/etc/ufw/after.rules", "*filter\nCOMMIT\n");
    }),
    ("rules are missing, or there twice: /etc/ufw/before6.rules", |m| {
        m.append("/etc/ufw/before6.rules", "# BEGIN echora\n# END echora\n");
    }),
    ("missing, or its mode is not 644: /etc/sysctl.d/50-echora-ports.conf", |m| {
        remove(m, "/etc/sysctl.d/50-echora-ports.conf");
    }),
    ("security updates are off: /etc/apt/apt.conf.d/20auto-upgrades", |m| {
        remove(m, "/etc/apt/apt.conf.d/20auto-upgrades");
    }),
    ("kernel argument hosted not there once: /boot/grub/grub.cfg", |m| {
        m.append("/boot/grub/grub.cfg", "\tlinux /boot/old ro\n");
    }),
    ("kernel argument hosted not there once: /boot/grub/grub.cfg", |m| {
        m.write("/boot/grub/grub.cfg", "\tlinux /boot/vmlinuz hosted ro hosted\n");
    }),
    ("unwanted package left: host-agent-update", |m| {
        m.state("packages", "installed sh 1.0\ninstalled host-agent-update 3\n");
    }),
    ("image missing: echora/b:installed", |m| {
        m.state("docker/images", "echora/a:installed\n");
    }),
];

fn remove(machine: &Machine, path: &str) {
    fs::remove_file(machine.root(path)).unwrap();
}

fn disable(machine: &Machine, unit: &str) {
    remove(machine, &format!("/etc/systemd/system/multi-user.target.wants/{unit}"));
}
