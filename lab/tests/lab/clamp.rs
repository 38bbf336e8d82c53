//! The segment size of a TCP handshake fits the route, whatever the inside offers.

use rail_lab::{ConfigText, Connector, ConnectorPlan, Node, Plan, Servers, World};
use rail_lab::{eventually, figures, isolated};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

const FORWARD: &str = "[[forward]]\nprotocol = \"tcp\"\nport = 8080\nto = \"192.168.1.10:80\"\n";
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 60);
const PATIENCE: Duration = Duration::from_secs(10);

/// Has the node sort what arrives by segment size: the SYN and the SYN-ACK of a handshake.
fn sort(node: &Node) {
    node.nft(
        "table ip sizes {
            set syn { typeof tcp option maxseg size; flags dynamic; size 64; }
            set answer { typeof tcp option maxseg size; flags dynamic; size 64; }
            chain pre { type filter hook prerouting priority -300;
                tcp flags & (syn | ack) == syn add @syn { tcp option maxseg size }
                tcp flags & (syn | ack) == (syn | ack) add @answer { tcp option maxseg size }
            }
        }\n",
    )
    .unwrap();
}

/// The sizes that arrived since the last call.
fn sizes(node: &Node, set: &str) -> Vec<u32> {
    let text = node.sh(&format!("nft list set ip sizes {set}")).unwrap();
    node.sh(&format!("nft flush set ip sizes {set}")).unwrap();
    let elements = text.split_once("elements = {").map_or("", |(_, rest)| rest);
    let mut sizes: Vec<u32> = elements
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect();
    sizes.sort_unstable();
    sizes
}

/// One connection out and one in; the sizes that the internet saw of both.
fn handshakes(world: &World) -> (Vec<u32>, Vec<u32>) {
    let net = &world.topology;
    let _ = (sizes(&net.internet, "syn"), sizes(&net.internet, "answer"));
    assert_eq!(world.connect(1).unwrap().failed(), 0);
    let plan = ConnectorPlan {
        sources: vec![OUTSIDE],
        servers: vec![SocketAddrV4::new(net.line(1).address(), 8080)],
        count: Some(1),
        ..world.plan()
    };
    let inward = Connector::start(&net.internet, plan).finish().unwrap();
    assert_eq!(inward.failed(), 0);
    (sizes(&net.internet, "syn"), sizes(&net.internet, "answer"))
}

#[test]
fn segments_fit_the_narrowest_part_of_the_way() {
    isolated(|| {
        // given an inside of jumbo frames / when the uplinks have 1500 bytes, then 1400, then a
        // tunnel beside them is narrow, and is gone again / then SYN and SYN-ACK always fit
        let text = ConfigText { rest: FORWARD.into(), ..ConfigText::default() };
        let world = World::start(&Plan::new(1), &text).unwrap();
        let net = &world.topology;
        let _inside = Servers::tcp(&net.client, "192.168.1.10:80".parse().unwrap()).unwrap();
        net.client.sh("ip link set eth0 mtu 9000").unwrap();
        net.router.sh("ip link set lan0 mtu 9000").unwrap();
        sort(&net.internet);
        let wide = handshakes(&world);
        assert_eq!(wide, (vec![1460], vec![1460]));

        net.router.sh("ip link set wan1 mtu 1400").unwrap();
        let all_clamped = || clamps_all(&world, true);
        eventually(PATIENCE, "a clamp for every size", all_clamped);
        let narrow = handshakes(&world);
        assert_eq!(narrow, (vec![1360], vec![1360]));

        net.router.sh("ip link set wan1 mtu 1500").unwrap();
        eventually(PATIENCE, "a clamp for large sizes", || clamps_all(&world, false));
        net.router
            .ip_batch("link add tun9 mtu 1380 type veth peer name tun8\nlink set tun9 up\n")
            .unwrap();
        eventually(PATIENCE, "a clamp for every size", all_clamped);
        net.router.sh("ip link del tun9").unwrap();
        eventually(PATIENCE, "a clamp for large sizes", || clamps_all(&world, false));
        let again = handshakes(&world);
        assert_eq!(again, wide);
        figures(&format!("SYN and SYN-ACK: {wide:?}, by a line of 1400 bytes {narrow:?}"));
    });
}

/// An error unless the router's clamp looks at every handshake, or only at large segments.
fn clamps_all(world: &World, all: bool) -> Result<(), String> {
    let chain = world.topology.router.sh("nft list chain inet rail forward");
    let chain = chain.map_err(|e| e.to_string())?;
    if chain.contains("size set rt mtu") && chain.contains("size > 1460") != all {
        Ok(())
    } else {
        Err(chain)
    }
}
