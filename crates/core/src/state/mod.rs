//! Declared state: what we want in the kernel ([`State`]), what is there
//! ([`Observed`]), and the way from one to the other ([`Plan`]).

mod change;
mod diff;
mod given;
mod kind;
mod main_default;
mod observed;

pub use crate::net::{Identity, Link};
pub use change::{Op, OpError, Plan, Step, describe};
pub use diff::{Conflict, Memory, diff, foreign, is_met};
pub(crate) use given::HALVES;
pub use given::{GivenAddress, GivenDefault, is_wide};
pub use kind::*;
pub use main_default::{MainDefault, MainReading, Refused};
pub use observed::*;
