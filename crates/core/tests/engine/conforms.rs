//! The toy domain through the conformance kit.

use crate::world::{World, on_both, ordinary};

#[test]
fn the_toy_conforms() {
    let world = World::new(&ordinary(330));
    on_both(|fresh| world.subject().conforms(fresh));
    world.subject().every_column_has_a_fate();
}

#[test]
fn a_rehearsal_leaves_nothing() {
    let world = World::new(&ordinary(60));
    on_both(|fresh| world.subject().a_dry_run_leaves_nothing(&fresh()));
}
