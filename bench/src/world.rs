//! One variant's world: client, router and server, two uplinks between router and server.
//!
//! ```text
//!   client 192.168.1.10 ── lan0 [router] wan1 ── 100.64.1.1 ┐
//!                                        wan2 ── 100.64.2.1 ┴ server 192.0.2.1
//! ```

use rail_lab::node::veth;
use rail_lab::{LabError, Node};
use std::net::Ipv4Addr;

/// The server's address, beyond both uplinks.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Client, router, server.
pub(crate) struct World {
    pub(crate) client: Node,
    pub(crate) router: Node,
    pub(crate) server: Node,
}

impl World {
    /// Builds the drawing with `uplinks` uplinks; the router forwards, but has no default route.
    pub(crate) fn new(lines: u8) -> Result<Self, LabError> {
        let world = Self {
            client: Node::new("client")?,
            router: Node::new("router")?,
            server: Node::new("server")?,
        };
        veth((&world.client, "eth0"), (&world.router, "lan0"))?;
        world.router.ip_batch("addr add 192.168.1.1/24 dev lan0\nlink set lan0 up\n")?;
        world.client.ip_batch(
            "addr add 192.168.1.10/24 dev eth0\nlink set eth0 up\n\
             route add default via 192.168.1.1\n",
        )?;
        for n in 1..=3 {
            world.server.ip_batch(&format!("addr add 192.0.2.{n}/32 dev lo\n"))?;
        }
        for n in 1..=lines {
            let wan = format!("wan{n}");
            veth((&world.router, &wan), (&world.server, &format!("acc{n}")))?;
            world
                .server
                .ip_batch(&format!("addr add 100.64.{n}.1/24 dev acc{n}\nlink set acc{n} up\n"))?;
            world.server.set(&format!("net/ipv4/conf/acc{n}/rp_filter"), "0")?;
            world.router.ip_batch(&format!("link set {wan} up\n"))?;
        }
        world.server.set("net/ipv4/conf/all/rp_filter", "0")?;
        // Answers go back by the uplink whose address asked; plain forwarding returns by uplink 1.
        world.server.ip_batch("route add 192.168.1.0/24 via 100.64.1.2 dev acc1\n")?;
        world.router.set("net/ipv4/ip_forward", "1")?;
        Ok(world)
    }

    /// Gives the router uplink 1 as its only way out.
    pub(crate) fn plain_route(&self) -> Result<(), LabError> {
        self.router.ip_batch(
            "addr add 100.64.1.2/24 dev wan1\nroute add default via 100.64.1.1 dev wan1\n",
        )
    }

    /// The configuration of `rail` for this world: uplink 1 in front, the others behind it.
    pub(crate) fn config(&self, lines: u8, tier: impl Fn(u8) -> u8) -> String {
        let mut text = String::from(
            "[lan]\ninterfaces = [\"lan0\"]\n\n[check]\n\
             targets = [\"192.0.2.1\", \"192.0.2.2\", \"192.0.2.3\"]\n\n",
        );
        for n in 1..=lines {
            text += &format!(
                "[[uplink]]\nname = \"isp{n}\"\ninterface = \"wan{n}\"\naddress = \"100.64.{n}.2/24\"\n\
                 gateway = \"100.64.{n}.1\"\ntier = {}\n\n",
                tier(n)
            );
        }
        text
    }
}
