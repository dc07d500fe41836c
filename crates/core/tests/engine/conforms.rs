//! The toy domain through the conformance kit.

use crate::world::{World, on_both, ordinary, thing};

#[test]
fn the_toy_conforms() {
    let world = World::new(&ordinary(210));
    on_both(|fresh| world.subject().conforms(fresh, &[1, 7, 300, 1_000]));
    world.subject().every_column_has_a_fate();
}

#[test]
fn a_rehearsal_leaves_nothing() {
    let refused = thing(900, "native", "0", "label:x;label:x") + &thing(901, "over", "1", "rename:2=native");
    let world = World::new(&(ordinary(60) + &refused));
    on_both(|fresh| world.subject().a_dry_run_leaves_nothing(&fresh()));
}
