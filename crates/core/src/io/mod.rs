//! The border of the core: everything that can happen to a router, and everything
//! it may ask for.

mod ask;
mod child;
mod input;
mod output;
mod port;
mod unanswered;
mod watch;

pub use crate::saved::Which;
pub use ask::{Answer, Ask, AskError, AskId, Asker, MOST_ASKS, has_place};
pub use child::{
    Capability, Child, ChildEvent, ChildFile, ChildId, DIRECTORY, Exit, FIRST_LINE_OF, KEPT, Needs,
    OnChange, Program, User,
};
pub use input::Input;
pub use output::{NOBODY, Output, Purge};
pub use port::{Binding, IDENT_PREFIX, Peer, Port, PortId, PortKind};
pub use unanswered::Unanswered;
pub use watch::Watch;
