//! The plain drawing: client, router and server, with as many uplinks between router and server as there can be.
//!
//! ```text
//!   client 192.168.1.10 ── lan0 [router] wan1 ── 100.64.1.1 acc1 ┐
//!                                        wan2 ── 100.64.2.1 acc2 ┴ server 192.0.2.1-3
//! ```
//!
//! One server plays all providers: it has no fault of its own, and costs little. [`crate::Topology`] has a namespace
//! for each provider.

use crate::node::veth;
use crate::{DhcpServer, LabError, Leases, Node, Server};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// Client, router, server.
#[derive(Debug)]
pub struct Star {
    /// The inside.
    pub client: Node,
    /// The machine under test; it forwards, but has no default route.
    pub router: Node,
    /// The other end of all uplinks.
    pub server: Node,
    uplinks: u8,
}

impl Star {
    /// The server's address, beyond all uplinks.
    pub const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    /// Builds the drawing with so many uplinks, and waits for their carriers.
    ///
    /// # Errors
    /// When the kernel or a tool refuses a step.
    pub fn build(uplinks: u8) -> Result<Self, LabError> {
        let client = Node::new("client")?;
        let router = Node::new("router")?;
        let server = Node::new("server")?;
        veth((&client, "eth0"), (&router, "lan0"))?;
        let (here, there) = (router.path(), server.path());
        let (mut links, mut outside, mut wires) = (String::new(), String::new(), String::new());
        for n in 1..=3 {
            let _ = writeln!(outside, "addr add 192.0.2.{n}/32 dev lo");
        }
        for n in 1..=uplinks {
            let _ = writeln!(
                links,
                "link add wan{n} netns {here} type veth peer name acc{n} netns {there}"
            );
            let _ = writeln!(outside, "addr add 100.64.{n}.1/24 dev acc{n}\nlink set acc{n} up");
            let _ = writeln!(wires, "link set wan{n} up");
        }
        // Answers go back by the uplink whose address asked; plain forwarding returns by uplink 1.
        outside.push_str("route add 192.168.1.0/24 via 100.64.1.2 dev acc1\n");
        for which in ["all", "default"] {
            server.set(&format!("net/ipv4/conf/{which}/rp_filter"), "0")?;
        }
        router.ip_batch(&links)?;
        router.ip_batch(&format!("addr add 192.168.1.1/24 dev lan0\nlink set lan0 up\n{wires}"))?;
        server.ip_batch(&outside)?;
        client.ip_batch(
            "addr add 192.168.1.10/24 dev eth0\nlink set eth0 up\n\
             route add default via 192.168.1.1\n",
        )?;
        router.set("net/ipv4/ip_forward", "1")?;
        [&client, &router, &server].into_iter().try_for_each(Node::wait_for_carrier)?;
        Ok(Self { client, router, server, uplinks })
    }

    /// Gives the router uplink 1 as its only way out.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn plain_route(&self) -> Result<(), LabError> {
        self.router.ip_batch(
            "addr add 100.64.1.2/24 dev wan1\nroute add default via 100.64.1.1 dev wan1\n",
        )
    }

    /// The configuration for this drawing, with static uplinks.
    pub fn config(&self, tier: impl Fn(u8) -> u8) -> String {
        self.text(tier, |n| format!("address = \"100.64.{n}.2/24\"\ngateway = \"100.64.{n}.1\"\n"))
    }

    /// The same with uplinks by DHCP.
    pub fn leased(&self) -> String {
        self.text(|_| 1, |_| "address = \"dhcp\"\n".into())
    }

    fn text(&self, tier: impl Fn(u8) -> u8, attached: impl Fn(u8) -> String) -> String {
        let mut text = String::from(
            "[lan]\ninterfaces = [\"lan0\"]\n\n[check]\n\
             targets = [\"192.0.2.1\", \"192.0.2.2\", \"192.0.2.3\"]\n\n",
        );
        for n in 1..=self.uplinks {
            let (attached, tier) = (attached(n), tier(n));
            let _ = writeln!(
                text,
                "[[uplink]]\nname = \"isp{n}\"\ninterface = \"wan{n}\"\n{attached}tier = {tier}\n"
            );
        }
        text
    }

    /// Leases each uplink the address that it would have by [`Star::config`].
    ///
    /// # Errors
    /// When the server cannot be started.
    pub fn lease(&self) -> Result<DhcpServer, LabError> {
        let mut rest = String::new();
        for n in 2..=self.uplinks {
            let _ = writeln!(
                rest,
                "dhcp-range=set:n{n},100.64.{n}.2,100.64.{n}.2,255.255.255.0,3600s\n\
                 dhcp-option=tag:n{n},option:router,100.64.{n}.1"
            );
        }
        let leases = Leases {
            device: "acc*".into(),
            network: "100.64.1".into(),
            hosts: (1, 2),
            seconds: 3600,
            rest,
        };
        DhcpServer::start(&self.server, &leases, Server::Dnsmasq)
    }
}
