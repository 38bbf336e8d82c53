//! `[performance]`.

/// `[performance]`: what makes packets faster and changes nothing else.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Performance {
    /// `queues`.
    pub queues: Queues,
}

/// `[performance] queues`: which CPUs take the packets of a port.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum Queues {
    /// By what the machine has (default).
    #[default]
    Auto,
    /// As the system has it.
    Off,
}
