//! Stand-in app.
fn main() {}
