//! Embedded migrations are compiled in: a change of theirs rebuilds the crate.
fn main() {
    println!("cargo:rerun-if-changed=ledger");
}
