//! Builds anew when a profile, a fixture or a simulator comes, goes or changes.

fn main() {
    println!("cargo::rerun-if-changed=profiles");
    println!("cargo::rerun-if-changed=fixtures");
    println!("cargo::rerun-if-changed=simulators");
}
