//! Steps moved beside the customers who use the target: side by side ([`schedule`]), each through a [`pipeline`] of readers,
//! rayon and writers within common [`limits`], and then its end ([`finish`]).

mod finish;
mod limits;
mod pipeline;
mod schedule;
mod subset;

pub(crate) use finish::finish_again;
pub(crate) use schedule::{move_added, steps};
