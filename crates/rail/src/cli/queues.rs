//! Which CPUs take the packets of the ports, in a line.

use rail_core::status::QueueStatus;

/// All ports.
pub(super) fn line(ports: &[QueueStatus]) -> String {
    let one = |port_: &QueueStatus| format!("{}: {}", port_.interface, port(port_));
    ports.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// One port.
pub(super) fn port(port: &QueueStatus) -> String {
    let QueueStatus { receive, transmit, cpus, spread, refused, .. } = port;
    let cpus = counted(*cpus, "CPU");
    let queues = format!("{} in, {transmit} out, {cpus}", counted(*receive, "queue"));
    match (refused, spread) {
        (Some(why), _) => format!("{queues}, left alone: {}", super::style::clean(why)),
        (None, 0) => queues,
        (None, spread) => format!("{queues}, packets handed to {spread} of them"),
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given a port with one queue, one with enough of them, and one that refuses, then a line says how their
    /// packets are spread.
    #[test]
    fn a_line_says_how_packets_are_spread() {
        let of = |name: &str, receive, transmit, spread, refused: Option<&str>| QueueStatus {
            interface: name.parse().expect("a name"),
            receive,
            transmit,
            cpus: 4,
            spread,
            refused: refused.map(str::to_owned),
        };
        let ports = [
            of("wan1", 1, 1, 3, None),
            of("lan0", 4, 4, 0, None),
            of("wan2", 1, 1, 3, Some("/sys is mounted read-only")),
        ];
        assert_eq!(
            line(&ports),
            "wan1: 1 queue in, 1 out, 4 CPUs, packets handed to 3 of them; \
             lan0: 4 queues in, 4 out, 4 CPUs; \
             wan2: 1 queue in, 1 out, 4 CPUs, left alone: /sys is mounted read-only"
        );
    }
}
