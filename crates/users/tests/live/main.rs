//! The end of users beside customers: nobody waits for it, and the index is valid in the end, whatever disturbs it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests, which say what was measured")]

mod customers;
mod disturbed;
mod index;
mod site;
