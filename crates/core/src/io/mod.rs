//! The border of the core: everything that can happen to a router, and everything
//! it may ask for.

mod input;
mod output;

pub use input::Input;
pub use output::{NOBODY, Output, ProbeSocket, Purge, Which};
