//! The guest binary.
fn main() {}
