//! Declared state: what we want in the kernel ([`State`]), what is there
//! ([`Observed`]), and the way from one to the other ([`Plan`]).

mod observed;
mod resource;

pub use observed::*;
pub use resource::*;
