//! Small machines get swap, and every machine settings that fit its memory.

use std::fs;

use crate::support::checks::assert_is_set_up;
use crate::support::machine::Machine;

const FILE: &str = "/swapfile";
const NEW: &str = "/.swapfile.new";
const FSTAB: &str = "/etc/fstab";
const TABLE: &str = "UUID=1 / ext4 defaults 0 1\n";
const LINE: &str = "/swapfile none swap sw,nofail 0 0\n";

fn memory(mb: u64, swap: u64) -> String {
    let kb = |mb: u64| mb * 1024;
    format!("MemTotal: {} kB\nMemAvailable: 1 kB\nSwapTotal: {} kB\nSwapFree: 0 kB\n", kb(mb), kb(swap))
}

/// A machine with 1 GB of memory whose programs do what the real ones do to its files.
pub(super) fn small() -> Machine {
    let machine = Machine::new();
    machine.put("/proc/meminfo", &memory(961, 0));
    machine.put("/proc/sys/vm/swappiness", "60\n");
    machine.put(FSTAB, TABLE);
    machine.journal.answer("df", "printf 'x\\next4 24576 18000 4%%\\n'");
    machine.journal.answer("fallocate", "echo allocated >\"$(echo \"$called\" | cut -d ' ' -f 4)\"");
    machine.journal.answer("mkswap", "echo swap >>\"$(echo \"$called\" | cut -d ' ' -f 2)\"");
    // As the kernel does: it takes nothing but a whole one, and takes it once.
    machine.journal.answer(
        "swapon",
        "[ \"$(cat \"${called#* }\")\" = \"allocated\nswap\" ] || { echo 'Invalid argument' >&2; exit 255; }\n\
         sed -i 's/SwapTotal: 0 kB/SwapTotal: 2097148 kB/' ../proc/meminfo",
    );
    machine
}

fn called(machine: &Machine, program: &str) -> usize {
    machine.journal.lines().iter().filter(|line| line.contains(&format!(" {program} "))).count()
}

fn assert_has_swap(machine: &Machine) {
    assert_is_set_up(machine);
    assert_eq!(machine.read(FILE), "allocated\nswap\n");
    assert_eq!(machine.mode(FILE), 0o600);
    assert_eq!(machine.read(FSTAB), format!("{TABLE}{LINE}"));
    assert_eq!(machine.mode(FSTAB), 0o644);
    assert_eq!(machine.read("/proc/sys/vm/swappiness"), "10\n");
    assert_eq!(machine.read("/etc/sysctl.d/90-echora-swap.conf"), "vm.swappiness = 10\n");
    assert!(!machine.path(NEW).exists());
}

fn assert_has_none(machine: &Machine) {
    assert_is_set_up(machine);
    assert!(!machine.path(FILE).exists() && !machine.path(NEW).exists());
    assert_eq!(machine.read(FSTAB), TABLE);
}

#[test]
fn a_small_machine_gets_swap_at_its_first_boot() {
    let machine = small();
    machine.boot_well();
    assert_has_swap(&machine);
    assert!(machine.console().contains("made swap"), "{}", machine.console());
    assert!(machine.journal.lines().iter().any(|line| line.contains("fallocate --length 2048M ")));
    machine.journal.calm();
    machine.boot_well();
    assert_eq!(called(&machine, "swapon"), 0);
}

#[test]
fn wherever_swap_is_cut_off_the_next_boot_makes_it_whole() {
    let mut number = 1;
    for when in ["before", "after"] {
        loop {
            let machine = small();
            machine.journal.kill(when, number);
            if !machine.boot().was_killed() {
                break;
            }
            let place = format!("{when} {number}: {:?}", machine.journal.lines().last());
            machine.journal.calm();
            // Switched off by the power cut.
            machine.put("/proc/meminfo", &memory(961, 0));
            machine.boot_well();
            assert_has_swap(&machine);
            assert_eq!(called(&machine, "swapon"), 1, "{place}");
            number += 1;
        }
        number = 1;
    }
}

/// What a machine has, and how it comes to have it.
type Case = (&'static str, fn(&Machine));

#[test]
fn who_needs_none_or_has_some_gets_none() {
    let cases: [Case; 5] = [
        ("enough memory", |m| m.put("/proc/meminfo", &memory(3920, 0))),
        ("swap", |m| m.put("/proc/meminfo", &memory(961, 512))),
        ("a container", |m| m.put("/run/systemd/container", "lxc\n")),
        ("no /proc", |m| fs::remove_file(m.path("/proc/meminfo")).unwrap()),
        ("a memory disk", |m| m.journal.answer("df", "printf 'x\\ntmpfs 24576 18000 4%%\\n'")),
    ];
    for (what, arrange) in cases {
        let machine = small();
        arrange(&machine);
        machine.boot_well();
        assert_has_none(&machine);
        assert_eq!(called(&machine, "fallocate"), 0, "{what}");
    }
}

#[test]
fn swap_that_somebody_has_switched_off_stays_off() {
    let machine = small();
    let table = format!("{TABLE}/dev/vdb none swap sw 0 0\n");
    machine.put(FSTAB, &table);
    machine.boot_well();
    assert_eq!((machine.read(FSTAB), called(&machine, "swapon")), (table, 0));
}

#[test]
fn too_little_disk_is_said_and_left_alone() {
    let machine = small();
    machine.journal.answer("df", "printf 'x\\next4 8192 3000 4%%\\n'");
    machine.boot_well();
    assert_has_none(&machine);
    assert!(machine.console().contains("3000 MB of free disk are too little"), "{}", machine.console());
}

#[test]
fn a_failure_is_a_warning_and_leaves_nothing_behind() {
    for program in ["df --output", "fallocate --length", "mkswap /", "swapon /"] {
        let machine = small();
        machine.journal.refuse(program);
        machine.boot_well();
        assert_has_none(&machine);
        let console = machine.console();
        let warned = console.lines().any(|line| line.contains("WARNING") && line.contains("swap"));
        assert!(warned && console.contains("no space left on device"), "{program}: {console}");
    }
}

/// It may be anybody's.
#[test]
fn a_file_of_that_name_is_never_thrown_away() {
    let machine = small();
    machine.put(FILE, "somebody's");
    machine.boot_well();
    assert_is_set_up(&machine);
    assert_eq!((machine.read(FILE).as_str(), machine.read(FSTAB).as_str()), ("somebody's", TABLE));
}

#[test]
fn the_settings_follow_a_machine_that_is_resized() {
    let machine = small();
    machine.boot_well();
    let settings = || {
        ["TUNED_FOR_MB", "PG_SHARED_BUFFERS", "BACKEND_MEMORY"].map(|name| machine.variable(name).unwrap())
    };
    assert_eq!(settings(), ["1024", "128MB", "614m"]);
    let secrets = machine.secrets();
    machine.journal.calm();
    machine.boot_well();
    assert_eq!(called(&machine, "docker"), 0, "nothing has changed");

    machine.put("/proc/meminfo", &memory(3920, 0));
    machine.boot_well();
    assert_eq!(settings(), ["3840", "480MB", "2304m"]);
    assert_eq!(machine.secrets(), secrets);
    let lines = machine.journal.lines();
    assert!(lines.iter().any(|line| line.contains("up --detach --no-deps postgres backend")), "{lines:#?}");
    assert!(machine.console().contains("this machine has another size"), "{}", machine.console());
}

/// Whether the database has the settings, its file does not tell: what failed or was cut off is done once more.
#[test]
fn settings_that_did_not_reach_the_stack_are_tried_again() {
    let resized = || {
        let machine = small();
        machine.boot_well();
        machine.put("/proc/meminfo", &memory(3920, 0));
        machine.journal.calm();
        machine
    };
    let failed = resized();
    failed.journal.refuse("postgres backend");
    failed.boot_well();
    assert!(failed.console().contains("not fitted to this machine's memory"), "{}", failed.console());
    let cut_off = resized();
    cut_off.journal.kill("before", 2);
    assert!(cut_off.boot().was_killed());
    for machine in [failed, cut_off] {
        machine.journal.calm();
        machine.boot_well();
        let lines = machine.journal.lines();
        assert!(lines.iter().any(|line| line.contains("--no-deps postgres backend")), "{lines:#?}");
        assert_eq!(machine.variable("TUNED_FOR_MB").as_deref(), Some("3840"));
    }
}
