//! What brands of a group are charged internally.
