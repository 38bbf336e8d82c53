//! `[balance]`.

/// `[balance] by`: what decides the uplink of a new connection.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum BalanceBy {
    /// Each connection on its own, round robin over the buckets (default).
    #[default]
    Connection,
    /// A hash of the client's address.
    Client,
    /// A hash of the client's and the server's address.
    ClientServer,
}
