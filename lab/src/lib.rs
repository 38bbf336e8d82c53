//! The laboratory: clients, a router, providers and an "internet" in network
//! namespaces of one machine, driving the built `rail` binary.
//!
//! ```text
//!   client ── lan0 [router] wan1 ── [isp1] ── [transit1] ──┐
//!                           wan2 ── [isp2] ── [transit2] ──┤ internet
//!                           wanN ── [ispN] ── [transitN] ──┘ (servers, targets)
//! ```
//!
//! What it promises: everything happens inside fresh network, mount and process
//! namespaces ([`space`]); the machine's own network is never touched, and when
//! the outermost process dies, even by SIGKILL, the kernel removes all of it.
//! It works as root and, with a user namespace, as anybody else.
//!
//! [`Topology`] builds the drawing, [`Fault`] breaks it and repairs it,
//! [`traffic`] measures what clients see, [`Rail`] runs the daemon, and
//! [`normal`] writes the kernel state as text that can be compared.
//!
//! Not here: assertions about `rail` itself; these are in `tests/`, or in the
//! program that uses this library.

pub mod bulk;
pub mod cable;
pub mod daemon;
pub mod delay;
pub mod dhcp_client;
pub mod dhcp_server;
pub mod error;
pub mod eventually;
pub mod fault;
pub mod flows;
pub mod icmp;
pub mod network;
pub mod node;
pub mod normal;
pub mod pppd;
pub mod random;
pub mod receiver;
pub mod scratch;
pub mod slot;
pub mod sources;
pub mod space;
pub mod stall;
pub mod star;
pub mod topology;
pub mod traffic;
pub mod world;

pub use daemon::{Rail, processor_time};
pub use dhcp_client::DhcpClient;
pub use dhcp_server::{DhcpServer, Leases, Server};
pub use error::LabError;
pub use eventually::{Ends, eventually, try_eventually};
pub use fault::{Fault, Injected};
pub use flows::{FlowReport, Flows, FlowsReport};
pub use network::Network;
pub use node::Node;
pub use random::Random;
pub use receiver::{Manner, Received, Receiver};
pub use space::{alone, figures, isolated, long, outside, timed};
pub use star::Star;
pub use topology::{ConfigText, Line, Plan, Topology};
pub use traffic::{Connector, ConnectorPlan, ConnectorReport, Servers};
pub use world::World;
