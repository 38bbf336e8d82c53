//! The verdict as `rail` first made it: rounds of echoes to all targets, and fixed windows. Kept for the
//! bench, with what a line in use that is judged by itself needs of it.

mod line;
mod rounds;

pub(super) use line::Line;
