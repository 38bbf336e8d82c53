//! Declared state: what we want in the kernel ([`State`]), what is there
//! ([`Observed`]), and the way from one to the other ([`Plan`]).

mod diff;
pub mod firewall;
mod main_default;
mod observed;
mod resource;

pub use diff::{Conflict, Memory, describe, diff, foreign, is_forwarding, is_met};
pub use main_default::{MainDefault, MainReading, Refused};
pub use observed::*;
pub use resource::*;
