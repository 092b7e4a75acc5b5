//! The guest binary lies in every image: it grows on purpose or not at all.

use echora_images::project::Project;
use provider_profiles::Architecture;

/// In bytes, as `make record-size` left it.
const RECORDED: &str = include_str!("../firstboot/guest-size");
/// Percent that may come in without a word.
const GROWTH: u64 = 5;
/// The most that it may ever have, in bytes.
const LIMIT: u64 = 2_500_000;

#[test]
fn the_guest_binary_does_not_grow_unnoticed() {
    let binary = Project::find().unwrap().guest_binary(Architecture::X86_64).unwrap();
    let bytes = std::fs::metadata(&binary).unwrap().len();
    let recorded = RECORDED.trim().parse().expect("firstboot/guest-size holds a number of bytes");
    verdict(bytes, recorded).unwrap_or_else(|problem| panic!("{}: {problem}", binary.display()));
}

#[test]
fn five_percent_more_pass_and_a_byte_above_does_not() {
    assert_eq!(verdict(1_050_000, 1_000_000), Ok(()));
    assert_eq!(verdict(900_000, 1_000_000), Ok(()));
    let problem = verdict(1_050_001, 1_000_000).unwrap_err();
    assert!(problem.contains("50001 more") && problem.contains("make record-size"), "{problem}");
    let problem = verdict(LIMIT + 1, LIMIT + 1).unwrap_err();
    assert!(problem.contains("2500000"), "{problem}");
}

fn verdict(bytes: u64, recorded: u64) -> Result<(), String> {
    if bytes > LIMIT {
        return Err(format!("{bytes} bytes are more than the {LIMIT} that an image gives it"));
    }
    if bytes * 100 > recorded * (100 + GROWTH) {
        return Err(format!(
            "{bytes} bytes, {} more than on record: if they are worth it, run `make record-size` and commit \
             firstboot/guest-size",
            bytes - recorded
        ));
    }
    Ok(())
}
