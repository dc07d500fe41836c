//! Legacy plantations become plantings.
