//! Builds anew when a profile or a fixture comes, goes or changes.

fn main() {
    println!("cargo::rerun-if-changed=profiles");
    println!("cargo::rerun-if-changed=fixtures");
}
